// mirror ENDPOINT STORE.public KEY_STEM FOLDER: copies every finished scan of a store into FOLDER,
// as it comes; started again, it goes on where it was. `cusp-records enroll --role subscriber` lets
// it in.
#include <iostream>

#include "delivery/subscriber.h"

using namespace cusp;
namespace fs = std::filesystem;

Result<void> mirror(const char* endpoint, const fs::path& store_key, const fs::path& key_stem,
                    const fs::path& folder) {
  PosixFileSystem files;
  const SystemClock clock;
  CUSP_TRY(files.make_folder(folder));
  CUSP_ASSIGN(const auto position, delivery::load_position(files, folder / "position"));
  delivery::SubscriberOptions options;
  options.endpoint = endpoint;
  CUSP_ASSIGN(options.keys, delivery::load_key_pair(key_stem));
  CUSP_ASSIGN(options.store_public_z85, delivery::load_public_key(store_key));
  options.on_problem = [](const std::string& problem) { std::cerr << problem << std::endl; };
  delivery::Subscriber feed(std::move(options), position, files, clock);
  while (true) {
    CUSP_ASSIGN(const auto event, feed.next({}));
    if (!event.parcel) return event.parcel.error();
    const delivery::Parcel& parcel = *event.parcel;
    const fs::path scan = folder / parcel.ticket_id / fmt::format("revision-{}", parcel.revision);
    CUSP_TRY(files.make_folder(scan));
    for (const auto& stage : parcel.stages)
      for (const auto& blob : stage.blobs) {
        const auto target =
            scan / fmt::format("{}-{}-{}", to_string(stage.stage), blob.role, blob.file_name);
        if (!fs::exists(target)) CUSP_TRY(feed.fetch(blob, target, {}));
      }
    CUSP_TRY(delivery::save_position(files, folder / "position", event.position));
    std::cout << scan.string() << std::endl;
  }
}

int main(int argc, char** argv) {
  if (argc != 5) return std::cerr << "usage: mirror ENDPOINT STORE.public KEY_STEM FOLDER\n", 2;
  const auto ended = mirror(argv[1], argv[2], argv[3], argv[4]);
  std::cerr << "mirror: " << ended.error().message << '\n';
  return 1;
}
