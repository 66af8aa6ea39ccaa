// One target as a libFuzzer program. With CUSP_FUZZ_SEEDS=FOLDER it writes the target's seeds there
// and ends.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/targets.h"

namespace {

const cusp::fuzz::Target& target() {
  for (const cusp::fuzz::Target* known : cusp::fuzz::kTargets)
    if (known->name == CUSP_FUZZ_TARGET) return *known;
  std::fprintf(stderr, "no fuzz target %s\n", CUSP_FUZZ_TARGET);
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* folder = std::getenv("CUSP_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  int number = 0;
  for (const cusp::fuzz::Bytes& seed : target().seeds()) {
    std::ofstream file(std::filesystem::path(folder) / ("seed-" + std::to_string(number++)),
                       std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()),
               static_cast<std::streamsize>(seed.size()));
    if (!file.flush()) std::exit(2);
  }
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().run({data, size});
  return 0;
}
