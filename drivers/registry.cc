#include <algorithm>

#include "drivers/driver.h"
#include "drivers/realsense_d400/device.h"
#include "drivers/uvc_camera/device.h"
#include "drivers/wand/device.h"

namespace cusp {

const std::vector<Driver>& drivers() {
  static const std::vector<Driver> table{realsense_d400::driver(), wand::driver(),
                                         uvc_camera::driver()};
  return table;
}

const Driver* find_driver(const UsbIdentity& identity) {
  const auto found = std::find_if(drivers().begin(), drivers().end(),
                                  [&](const Driver& driver) { return driver.knows(identity); });
  return found == drivers().end() ? nullptr : &*found;
}

const Driver* find_driver(std::string_view name) {
  const auto found = std::find_if(drivers().begin(), drivers().end(),
                                  [&](const Driver& driver) { return driver.name == name; });
  return found == drivers().end() ? nullptr : &*found;
}

}  // namespace cusp
