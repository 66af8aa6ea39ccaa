#include "drivers/uvc/descriptors.h"

#include "tests/fuzz/doubles.h"
#include "tests/fuzz/targets.h"

namespace cusp::fuzz {
namespace {

void check(const uvc::StreamingInterface& stream) {
  for (const auto& setting : stream.alternates)
    CUSP_CHECK(setting.interval_bytes > 0 && setting.interval_exponent > 0 &&
                   setting.endpoint == stream.endpoint(),
               "a setting has bandwidth");
  for (const auto& format : stream.formats) {
    static_cast<void>(uvc::pixel_format(format));
    for (const auto& frame : format.frames) {
      CUSP_CHECK(frame.index > 0 && frame.width_px > 0 && frame.height_px > 0 &&
                     !frame.intervals_100ns.empty(),
                 "a frame has a size and a rate");
      for (const std::uint32_t interval : frame.intervals_100ns)
        CUSP_CHECK(interval > 0, "a rate is finite");
    }
  }
}

void run(std::span<const std::uint8_t> input) {
  // A device descriptor of 18 bytes, then the configuration.
  const auto device = input.first(std::min<std::size_t>(input.size(), 18));
  const auto config = input.subspan(device.size());
  if (const auto identity = identity_of(device, config)) static_cast<void>(find_driver(*identity));
  const auto functions = uvc::parse_video_functions(config);
  if (!functions) {
    CUSP_CHECK(functions.error().code == ErrorCode::kProtocol, "one kind of error");
    return;
  }
  for (const auto& function : *functions)
    for (const auto& stream : function.streams) check(stream);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> all;
  for (const auto& function : doubles()) {
    Bytes seed = function->device_descriptor();
    const Bytes config = function->config_descriptor();
    seed.insert(seed.end(), config.begin(), config.end());
    all.push_back(std::move(seed));
  }
  return all;
}

}  // namespace

const Target kDescriptors{.name = "descriptors", .run = run, .seeds = seeds};

}  // namespace cusp::fuzz
