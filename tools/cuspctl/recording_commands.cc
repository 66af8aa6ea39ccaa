#include "tools/cuspctl/recording_commands.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "drivers/recording/recording_transport.h"
#include "drivers/usb/usb_bus.h"
#include "pipeline/export.h"
#include "tools/cuspctl/replay.h"

namespace cusp::cuspctl {
namespace {

using recording::Capture;
using recording::CapturedOpening;
using namespace std::chrono_literals;

constexpr std::size_t kMaxDescriptorsBytes = 64 * 1024;
// `record` ends rather than fill the disk.
constexpr std::uint64_t kMinFreeBytes = std::uint64_t{1} << 30;

volatile std::sig_atomic_t interrupted = 0;

int fail(const Error& error) {
  std::cerr << "cuspctl: " << error.message << "\n";
  return kRefused;
}

// Text out of a file on a terminal: no control characters.
std::string shown(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return text;
}

// "848x480@30"; an empty text is the device's first.
Result<StreamMode> mode_from(const std::string& text) {
  StreamMode mode;
  if (text.empty()) return mode;
  int end = 0;
  if (std::sscanf(text.c_str(), "%5dx%5d@%lf%n", &mode.width_px, &mode.height_px, &mode.rate_hz,
                  &end) != 3 ||
      static_cast<std::size_t>(end) != text.size() || mode.width_px <= 0 || mode.height_px <= 0)
    return error(ErrorCode::kInvalidArgument, "mode {}: it is written like 848x480@30", text);
  return mode;
}

Result<std::unique_ptr<Device>> open_device(UsbBus& bus, const DeviceAddress& address,
                                            std::shared_ptr<recording::Recording> recording) {
  const Driver* const driver = find_driver(address.driver);
  CUSP_CHECK(driver != nullptr, "the bus lists what a driver knows");
  auto cable = bus.open(address);
  if (!cable.ok() && cable.error().code == ErrorCode::kConflict)
    return error(ErrorCode::kConflict,
                 "{}; if it is cuspd, scan with it: it records its scans (cuspctl recordings)",
                 cable.error().message);
  if (!cable.ok()) return cable.error();
  if (recording != nullptr)
    *cable = make_recording_transport(std::move(*cable), std::move(recording),
                                      {address.bus, address.address});
  return driver->open(std::move(*cable));
}

Result<DeviceAddress> choose(UsbBus& bus, const std::string& serial) {
  const auto devices = bus.list();
  if (serial.empty() && devices.size() == 1) return devices.front();
  if (serial.empty())
    return error(ErrorCode::kUnavailable, "{} scanners are plugged in{}", devices.size(),
                 devices.empty() ? "" : ": say which with --serial");
  std::string problem;
  for (const DeviceAddress& address : devices) {
    const auto device = open_device(bus, address, nullptr);
    if (device.ok() && (*device)->info().serial == serial) return address;
    if (!device.ok()) problem += "; " + device.error().message;
  }
  return error(ErrorCode::kUnavailable, "device {}: not plugged in{}", serial, problem);
}

// Streams for a while. The queue is emptied as it fills: the recording is all that is wanted.
Result<void> stream(Device& device, const RecordWish& wish, StreamMode mode,
                    const recording::Recording& recording) {
  if (mode.width_px == 0 && !device.modes().empty()) mode = device.modes().front();
  CUSP_TRY(device.configure(mode));
  if (const auto calibration = device.read_calibration(); !calibration.ok())
    std::cerr << "cuspctl: " << calibration.error().message << "; recording all the same\n";
  BoundedQueue<RawFrame> queue(1, WhenFull::kDropOldest);
  Result<void> result;
  std::jthread thread([&](const std::stop_token& stop) {
    result = device.capture(queue, stop);
    queue.close();
  });
  const auto begin = std::chrono::steady_clock::now();
  for (auto tell_at = begin + 1s; interrupted == 0 && !queue.closed();) {
    static_cast<void>(queue.pop_for(100ms));
    const auto now = std::chrono::steady_clock::now();
    if (wish.seconds > 0 && now - begin >= std::chrono::seconds(wish.seconds)) break;
    if (now < tell_at) continue;
    tell_at += 1s;
    const CaptureCounts counts = device.counts();
    const auto status = recording.status();
    fmt::print(stderr, "{:>5} s  {} frames, {} broken, {} lost, {} restarts, {} MiB\n",
               std::chrono::duration_cast<std::chrono::seconds>(now - begin).count(), counts.frames,
               counts.broken(), counts.lost, counts.restarts, status.bytes >> 20);
    if (!status.problem.empty()) return error(ErrorCode::kNoSpace, "{}", status.problem);
  }
  thread.request_stop();
  thread.join();
  return result;
}

void print_contents(const Capture& capture) {
  for (const CapturedOpening& opening : capture.openings()) {
    const bool known = [&] {
      const auto identity = identity_of(opening.device_descriptor, opening.config_descriptor);
      return identity.ok() && find_driver(*identity) != nullptr;
    }();
    fmt::print("device {}:{}  {}  {} {}{}\n", opening.address.bus, opening.address.device,
               shown(opening.identity()), shown(opening.string(recording::kMakerAt)),
               shown(opening.string(recording::kProductAt)),
               known                               ? ""
               : opening.device_descriptor.empty() ? "  (plugged in before the capture began)"
                                                   : "  (no driver knows it)");
    fmt::print("    packets {} to {}, {:.3f} s, {} control requests\n", opening.first_packet,
               opening.last_packet,
               std::chrono::duration<double>(opening.end - opening.begin).count(),
               opening.requests.size());
    for (const auto& [number, endpoint] : opening.endpoints)
      fmt::print("    endpoint {:#04x}: {} transfers, {} bytes\n", number, endpoint.transfers,
                 endpoint.bytes);
  }
  const ScanNotes notes = notes_of(capture);
  if (notes.scan)
    fmt::print("scan of stage {} by {}\n", shown(notes.scan->stage),
               shown(notes.scan->software_version));
  if (notes.result)
    fmt::print("    {} frames reached the reconstruction; model {}\n", notes.result->frames,
               shown(notes.result->mesh_sha256));
  if (!capture.problem().empty()) fmt::print("{}\n", shown(capture.problem()));
}

Result<void> save_model(const Replayed& replayed, const std::filesystem::path& path) {
  const auto bytes = path.extension() == ".stl" ? to_stl(replayed.mesh) : replayed.ply;
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return error(ErrorCode::kIo, "{}: can't be written", path.string());
  return {};
}

Result<recording::CaptureOptions> descriptors_from(const ReplayCommand& command) {
  recording::CaptureOptions options;
  if (command.descriptors.empty()) return options;
  int end = 0;
  if (std::sscanf(command.device.c_str(), "%5d:%5d%n", &options.device.bus, &options.device.device,
                  &end) != 2 ||
      static_cast<std::size_t>(end) != command.device.size())
    return error(ErrorCode::kInvalidArgument,
                 "--descriptors: say whose they are with --device, as --list shows it (2:7)");
  // A file of sysfs does not tell its size.
  std::ifstream file(command.descriptors, std::ios::binary);
  if (!file) return error(ErrorCode::kNotFound, "{}: can't be read", command.descriptors.string());
  char byte = 0;
  while (options.descriptors.size() < kMaxDescriptorsBytes && file.get(byte))
    options.descriptors.push_back(static_cast<std::uint8_t>(byte));
  return options;
}

Result<Replayed> run(const std::shared_ptr<const Capture>& capture, const ReplayCommand& command) {
  ReplayWish wish;
  wish.real_time = command.real_time;
  wish.threads = command.threads;
  wish.device = command.device;
  CUSP_ASSIGN(const StreamMode mode, mode_from(command.mode));
  wish.scan.width_px = mode.width_px;
  wish.scan.height_px = mode.height_px;
  wish.scan.rate_hz = mode.rate_hz;
  ReconstructionOptions& options = wish.scan.reconstruction;
  options.voxel_mm = command.voxel_mm.value_or(options.voxel_mm);
  options.min_depth_mm = command.min_depth_mm.value_or(options.min_depth_mm);
  options.max_depth_mm = command.max_depth_mm.value_or(options.max_depth_mm);
  if (options.min_depth_mm >= options.max_depth_mm)
    return error(ErrorCode::kInvalidArgument, "min-depth {} must be below max-depth {}",
                 options.min_depth_mm, options.max_depth_mm);
  wish.tell = [](const std::string& line) { std::cerr << line << "\n"; };
  return replay_scan(capture, wish);
}

void print_as_json(const Replayed& replayed) {
  const json value{{"device", replayed.device.serial},
                   {"calibration_id", replayed.calibration_id},
                   {"frames", replayed.frames},
                   {"skipped", replayed.skipped},
                   {"missing", replayed.missing},
                   {"tracked", replayed.counts.tracked},
                   {"lost", replayed.counts.lost},
                   {"triangles", replayed.mesh.triangles.size()},
                   {"mesh_sha256", replayed.mesh_sha256},
                   {"recorded_sha256", replayed.recorded_sha256},
                   {"ended", replayed.ended}};
  std::cout << value.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
}

void print_as_text(const Replayed& replayed) {
  fmt::print("Device   {} {} ({})\n", shown(replayed.device.model), shown(replayed.device.serial),
             shown(replayed.calibration_id));
  fmt::print("Frames   {} reconstructed: {} tracked, {} lost; {} more came, {} did not come\n",
             replayed.frames, replayed.counts.tracked, replayed.counts.lost, replayed.skipped,
             replayed.missing);
  fmt::print("Ended    {}\n", shown(replayed.ended));
  fmt::print("Model    {} triangles, {}\n", replayed.mesh.triangles.size(), replayed.mesh_sha256);
  if (replayed.recorded_sha256.empty())
    fmt::print("The recording does not say which model was made then.\n");
  else if (replayed.recorded_sha256 == replayed.mesh_sha256)
    fmt::print("It is the very model that was made then.\n");
  else
    fmt::print("It is NOT the model that was made then: {}\n", shown(replayed.recorded_sha256));
}

}  // namespace

int record(const RecordWish& wish) {
  const auto mode = mode_from(wish.mode);
  if (!mode.ok()) {
    fail(mode.error());
    return kUsage;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  const auto bus = UsbBus::start();
  if (!bus.ok()) return fail(bus.error());
  const auto address = choose(**bus, wish.serial);
  if (!address.ok()) return fail(address.error());
  const auto started = recording::Recording::start(
      wish.out, {.program = "cuspctl " CUSP_VERSION, .min_free_bytes = kMinFreeBytes});
  if (!started.ok()) return fail(started.error());
  Result<void> result;
  {
    const auto device = open_device(**bus, *address, *started);
    result = device.ok() ? stream(**device, wish, *mode, **started) : device.error();
  }
  (*started)->close();
  const auto status = (*started)->status();
  fmt::print("{}: {} MiB\n", wish.out.string(), status.bytes >> 20);
  if (!result.ok()) return fail(result.error());
  if (!status.problem.empty()) return fail(error(ErrorCode::kIo, "{}", status.problem));
  return kOk;
}

int replay(Output output, const ReplayCommand& command) {
  const auto options = descriptors_from(command);
  if (!options.ok()) {
    fail(options.error());
    return options.error().code == ErrorCode::kInvalidArgument ? kUsage : kRefused;
  }
  const auto capture = Capture::open(command.file, *options);
  if (!capture.ok()) return fail(capture.error());
  if (command.list) {
    print_contents(**capture);
    return kOk;
  }
  if (!(*capture)->problem().empty())
    std::cerr << "cuspctl: " << shown((*capture)->problem()) << "\n";
  const auto replayed = run(*capture, command);
  if (!replayed.ok()) return fail(replayed.error());
  if (output.as_json)
    print_as_json(*replayed);
  else
    print_as_text(*replayed);
  if (!command.out.empty())
    if (const auto saved = save_model(*replayed, command.out); !saved.ok())
      return fail(saved.error());
  const bool differs =
      !replayed->recorded_sha256.empty() && replayed->recorded_sha256 != replayed->mesh_sha256;
  return differs ? kRefused : kOk;
}

}  // namespace cusp::cuspctl
