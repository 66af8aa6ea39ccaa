// What the tests of recordings share: captures built byte by byte, and a cable with a script.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <fstream>
#include <functional>
#include <vector>

#include "drivers/bytes.h"
#include "drivers/driver.h"
#include "drivers/recording/capture.h"
#include "drivers/recording/pcapng.h"
#include "drivers/recording/replay_transport.h"
#include "drivers/recording/usbmon_record.h"
#include "tests/fakes/temp_folder.h"

namespace cusp::recording {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

inline void save(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}
inline Bytes load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

// A capture as a Linux machine makes it: what usbmon shows of a device, transfer by transfer.
class ForeignCapture {
 public:
  ForeignCapture() { append_file_head(file_, "tcpdump", kUsbmonLink); }

  BusAddress address{2, 7};
  nanoseconds now{std::chrono::seconds(1'700'000'000)};

  void request_in(const ControlSetup& setup, std::uint16_t asked, const Bytes& data,
                  std::int32_t status = 0) {
    UsbmonRecord record = control(setup, asked, true);
    put(record, {});
    record.type = 'C';
    record.has_setup = false;
    record.status = status;
    record.length = static_cast<std::uint32_t>(data.size());
    put(record, data);
  }
  void request_out(const ControlSetup& setup, const Bytes& data, std::int32_t status = 0) {
    UsbmonRecord record = control(setup, static_cast<std::uint16_t>(data.size()), false);
    put(record, data);
    record.type = 'C';
    record.has_setup = false;
    record.status = status;
    put(record, {});
  }
  std::uint64_t submit(std::uint8_t endpoint, std::uint32_t length,
                       UsbmonTransfer transfer = UsbmonTransfer::kBulk) {
    UsbmonRecord record = stream('S', endpoint, transfer);
    record.id = next_id_++;
    record.status = kStatusPending;
    record.length = length;
    put(record, {});
    return record.id;
  }
  void complete(std::uint64_t id, std::uint8_t endpoint, const Bytes& data, std::int32_t status = 0,
                UsbmonTransfer transfer = UsbmonTransfer::kBulk) {
    UsbmonRecord record = stream('C', endpoint, transfer);
    record.id = id;
    record.status = status;
    record.length = static_cast<std::uint32_t>(data.size());
    put(record, data);
  }
  void put(UsbmonRecord record, const Bytes& data, std::size_t kept = ~std::size_t{0}) {
    now += std::chrono::microseconds(100);
    record.since_1970 = now;
    const std::size_t size = std::min(kept, data.size());
    record.captured_bytes = static_cast<std::uint32_t>(size);
    append_packet(file_, now, encode(record), std::span(data).first(size), {});
  }
  UsbmonRecord stream(char type, std::uint8_t endpoint, UsbmonTransfer transfer) const {
    UsbmonRecord record;
    record.type = type;
    record.transfer = transfer;
    record.endpoint = endpoint;
    record.bus = address.bus;
    record.device = address.device;
    return record;
  }

  // What the kernel asks when a device is plugged in.
  void plug_in(const Bytes& device, const Bytes& config) {
    request_in({0x80, 6, 0x0100, 0}, 18, device);
    request_in({0x80, 6, 0x0200, 0}, 9, Bytes(config.begin(), config.begin() + 9));
    request_in({0x80, 6, 0x0200, 0}, static_cast<std::uint16_t>(config.size()), config);
    request_out({0x00, 9, config[5], 0}, {});
  }

  [[nodiscard]] const Bytes& bytes() const { return file_; }

 private:
  UsbmonRecord control(const ControlSetup& setup, std::uint16_t asked, bool is_in) {
    UsbmonRecord record = stream('S', is_in ? 0x80 : 0x00, UsbmonTransfer::kControl);
    record.id = next_id_++;
    record.has_setup = true;
    record.setup = encode_setup(setup, asked);
    record.status = kStatusPending;
    record.length = asked;
    return record;
  }
  Bytes file_;
  std::uint64_t next_id_ = 0xFFFF888000000000;
};

// A device and configuration descriptor of some vendor's device with one bulk endpoint.
inline Bytes some_device() {
  return {18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x86, 0x80, 0x5B, 0x0B, 0, 1, 1, 2, 3, 1};
}
inline Bytes some_config() {
  return {9, 2, 25, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, 255, 0, 0, 0, 7, 5, 0x82, 2, 0, 2, 0};
}

struct Chunk {
  std::uint8_t endpoint = 0;
  Bytes bytes;
  bool ends_payload = false;
  bool damaged = false;
  MonoTime arrival{};
  bool operator==(const Chunk&) const = default;
};

inline Chunk copy_of(const StreamChunk& chunk) {
  return {.endpoint = chunk.endpoint,
          .bytes = {chunk.bytes.begin(), chunk.bytes.end()},
          .ends_payload = chunk.ends_payload,
          .damaged = chunk.damaged,
          .arrival = chunk.arrival};
}

// What a stream gave, and how it ended.
struct Streamed {
  std::vector<Chunk> chunks;
  Result<void> result;
};
inline Streamed stream_all(UsbTransport& transport, std::span<const StreamOptions> options,
                           std::size_t limit = ~std::size_t{0}) {
  Streamed streamed;
  streamed.result = transport.stream(options, {}, [&](const StreamChunk& chunk) {
    streamed.chunks.push_back(copy_of(chunk));
    return streamed.chunks.size() < limit;
  });
  return streamed;
}
inline Streamed stream_all(UsbTransport& transport, const StreamOptions& options,
                           std::size_t limit = ~std::size_t{0}) {
  return stream_all(transport, std::span(&options, 1), limit);
}

// A cable that answers as it is told.
class ScriptedTransport final : public UsbTransport {
 public:
  struct Run {
    std::vector<Chunk> chunks;
    Result<void> result;
  };
  std::function<Result<Bytes>(const ControlSetup&)> answer = [](const ControlSetup&) {
    return Result<Bytes>(Bytes{});
  };
  std::function<Result<void>(const ControlSetup&, const Bytes&)> take =
      [](const ControlSetup&, const Bytes&) { return Result<void>{}; };
  std::deque<Run> runs;
  std::deque<Result<void>> resets;

  std::span<const std::uint8_t> device_descriptor() const override { return device_; }
  std::span<const std::uint8_t> config_descriptor() const override { return config_; }
  Result<std::string> string_descriptor(std::uint8_t index) override {
    if (index == 3) return std::string("Z\u00fcri \U0001F9B7 7");
    return error(ErrorCode::kProtocol, "string {}: refused", index);
  }
  UsbSpeed speed() const override { return UsbSpeed::kSuper; }
  std::string location() const override { return "2-1.4"; }
  Result<void> claim_interface(int) override { return {}; }
  Result<void> set_alternate(int, int) override { return {}; }
  Result<std::size_t> control_in(const ControlSetup& setup, std::span<std::uint8_t> data,
                                 milliseconds) override {
    CUSP_ASSIGN(const Bytes bytes, answer(setup));
    std::copy(bytes.begin(), bytes.end(), data.begin());
    return bytes.size();
  }
  Result<void> control_out(const ControlSetup& setup, std::span<const std::uint8_t> data,
                           milliseconds) override {
    return take(setup, {data.begin(), data.end()});
  }
  Result<void> clear_halt(std::uint8_t) override { return {}; }
  Result<void> reset() override {
    Result<void> result = resets.front();
    resets.pop_front();
    return result;
  }
  Result<void> stream(std::span<const StreamOptions>, std::stop_token,
                      const std::function<bool(const StreamChunk&)>& on_chunk) override {
    const Run run = runs.front();
    runs.pop_front();
    for (const Chunk& chunk : run.chunks)
      if (!on_chunk({.endpoint = chunk.endpoint,
                     .bytes = chunk.bytes,
                     .ends_payload = chunk.ends_payload,
                     .damaged = chunk.damaged,
                     .arrival = chunk.arrival}))
        return {};
    return run.result;
  }

 private:
  Bytes device_ = some_device();
  Bytes config_ = some_config();
};

}  // namespace cusp::recording
