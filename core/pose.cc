#include "core/pose.h"

#include "core/check.h"

namespace cusp {

std::string_view to_string(PoseVerdict verdict) {
  switch (verdict) {
    case PoseVerdict::kTracked:
      return "tracked";
    case PoseVerdict::kRelocalised:
      return "relocalised";
    case PoseVerdict::kLost:
      return "lost";
  }
  CUSP_CHECK(false, "a verdict without a name");
}

}  // namespace cusp
