#include "tests/fuzz/doubles.h"

#include "drivers/realsense_d400/emulator.h"
#include "drivers/uvc_camera/emulator.h"
#include "drivers/wand/emulator.h"

namespace cusp::fuzz {
namespace {

realsense_d400::EmulatorOptions d400(std::uint16_t product_id, bool colour) {
  realsense_d400::EmulatorOptions options;
  options.product_id = product_id;
  options.depth = {
      .width_px = 640, .height_px = 480, .fx_px = 400, .fy_px = 400, .cx_px = 320, .cy_px = 240};
  if (colour) options.colour.emplace().intrinsics = options.depth;
  return options;
}

wand::EmulatorOptions wand_options(bool isochronous) {
  wand::EmulatorOptions options;
  options.capabilities = {
      .width_px = 96, .height_px = 64, .projector_width_px = 912, .projector_height_px = 570};
  options.capabilities.patterns = {{24, 0}, {24, 2.1}, {24, 4.2}};
  options.capabilities.min_depth_mm = 10;
  options.capabilities.max_depth_mm = 20;
  options.capabilities.min_exposure = std::chrono::microseconds(100);
  options.capabilities.max_exposure = std::chrono::microseconds(8000);
  options.isochronous = isochronous;
  return options;
}

}  // namespace

std::vector<std::unique_ptr<UsbFunction>> doubles() {
  const auto no_depth = [](std::uint64_t, std::span<std::uint16_t>) { return false; };
  const auto no_colour = [](std::uint64_t, int, int, std::span<std::uint8_t>) { return false; };
  const auto no_picture = [](const wand::Shot&, wand::Picture&) { return false; };
  std::vector<std::unique_ptr<UsbFunction>> all;
  for (const std::uint16_t product_id : {0x0B5B, 0x0B07})
    for (const bool colour : {false, true})
      all.push_back(
          realsense_d400::make_emulator(d400(product_id, colour), no_depth, no_colour).function);
  for (const bool isochronous : {false, true})
    all.push_back(wand::make_emulator(wand_options(isochronous), no_picture).function);
  for (const std::uint8_t still_method : {2, 3})
    all.push_back(
        uvc_camera::make_emulator({.bulk = still_method == 2, .still_method = still_method},
                                  uvc_camera::test_pictures())
            .function);
  return all;
}

}  // namespace cusp::fuzz
