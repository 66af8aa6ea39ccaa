#include <algorithm>

#include "drivers/driver.h"
#include "drivers/realsense_d400/device.h"

namespace cusp {

const std::vector<Driver>& drivers() {
  static const std::vector<Driver> table{realsense_d400::driver()};
  return table;
}

const Driver* find_driver(UsbId id) {
  for (const Driver& driver : drivers())
    if (std::any_of(driver.ids.begin(), driver.ids.end(), [&](const UsbId& known) {
          return known.vendor_id == id.vendor_id && known.product_id == id.product_id;
        }))
      return &driver;
  return nullptr;
}

}  // namespace cusp
