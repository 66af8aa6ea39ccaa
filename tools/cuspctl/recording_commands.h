// Recording a device and replaying a capture, both without cuspd. Each prints what it found and
// answers with the exit code. Threads: one; both start some of their own while they run.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tools/cuspctl/commands.h"

namespace cusp::cuspctl {

struct RecordWish {
  std::filesystem::path out;
  std::string serial;  // empty: the only device
  int seconds = 0;     // 0: until Ctrl-C
  std::string mode;    // "848x480@30"; empty: the device's first
};
int record(const RecordWish& wish);

struct ReplayCommand {
  std::filesystem::path file;
  std::filesystem::path descriptors;  // empty: the file has them
  std::filesystem::path out;          // the mesh: .ply or .stl; empty: none
  std::string device, mode;
  bool list = false;
  bool real_time = false;
  std::optional<int> threads;
  std::optional<double> voxel_mm, min_depth_mm, max_depth_mm;
};
int replay(Output output, const ReplayCommand& command);

}  // namespace cusp::cuspctl
