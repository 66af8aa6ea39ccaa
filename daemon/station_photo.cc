#include <utility>

#include "daemon/log_text.h"
#include "daemon/station.h"

// Station's third part: photos.

namespace cusp::daemon {
namespace {

// The camera is closed again when this is answered.
Result<Photo> photograph(DeviceList& devices, const std::string& serial, std::stop_token stop) {
  CUSP_ASSIGN(DeviceLease lease, devices.open(serial, "a photo", stop));
  CUSP_ASSIGN(RawFrame picture, lease.device().photo(std::move(stop)));
  auto photo = to_photo(std::move(picture));
  if (!photo.ok()) return error(photo.error().code, "device {}: {}", serial, photo.error().message);
  return photo;
}

}  // namespace

Result<void> Station::ready_for_photo(const std::string& serial) const {
  if (taking_photo_)
    return error(ErrorCode::kConflict, "a photo is being taken: wait until it is there");
  std::vector<DeviceEntry> meant;
  std::string problem;
  for (DeviceEntry& entry : devices_->list()) {
    // One that could not say its name may be the one that is meant.
    if (entry.info.serial.empty()) problem = entry.problem;
    if (entry.info.serial == serial) meant.push_back(std::move(entry));
  }
  if (meant.empty())
    return error(ErrorCode::kNotFound, "device {}: not plugged in{}{}", serial,
                 problem.empty() ? "" : ": ", problem);
  const DeviceEntry& camera = meant.front();
  if (camera.info.kind != DeviceKind::kPhoto)
    return error(ErrorCode::kInvalidArgument, "device {}: {} is a scanner, it takes no photos",
                 serial, camera.info.model);
  if (meant.size() > 1)  // cameras of one batch: never a photo of the wrong one
    return error(ErrorCode::kConflict, "device {}: {} devices say that this is their serial number",
                 serial, meant.size());
  if (camera.status == DeviceStatus::kInUse)
    return error(ErrorCode::kConflict, "device {}: in use by {}", serial, camera.user);
  return {};
}

void Station::take_photo(const std::string& serial, std::function<void(Result<Photo>)> done) {
  if (const auto ready = ready_for_photo(serial); !ready.ok()) return done(ready.error());
  taking_photo_ = true;
  // The thread of the photo before has posted its last word.
  photographer_ = std::jthread([this, serial, done = std::move(done)](std::stop_token stop) {
    auto photo = photograph(*devices_, serial, std::move(stop));
    post([this, serial, done, photo = std::move(photo)] {
      taking_photo_ = false;
      if (photo.ok())
        log(fmt::format("event=photo_taken device={} type={} size_bytes={}", in_quotes(serial),
                        photo->content_type, photo->bytes.size()));
      else
        warn(fmt::format("event=photo_failed device={} why={}", in_quotes(serial),
                         in_quotes(photo.error().message)));
      done(photo);
    });
  });
}

}  // namespace cusp::daemon
