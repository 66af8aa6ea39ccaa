// Capture files byte by byte: what is written, and what of others' files is read.
#include <gmock/gmock.h>

#include "drivers/recording/recording.h"
#include "tests/drivers/recording_fixture.h"

namespace cusp::recording {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    while (text[i] == ' ') ++i;
    bytes.push_back(
        static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

struct Read {
  std::vector<CaptureBlock> blocks;
  std::vector<Bytes> data;
  Result<void> result;
  std::string ending;
};

Read read_all(const Bytes& file) {
  const fakes::TempFolder folder;
  save(folder / "file", file);
  Read read;
  auto reader = CaptureReader::open(folder / "file");
  if (!reader) {
    read.result = reader.error();
    return read;
  }
  while (true) {
    auto block = reader->next();
    if (!block) {
      read.result = block.error();
      break;
    }
    if (!*block) break;
    Bytes data((*block)->captured_bytes);
    EXPECT_TRUE(reader->read(0, data).ok());
    read.blocks.push_back(std::move(**block));
    read.data.push_back(std::move(data));
  }
  read.ending = reader->ending();
  return read;
}

constexpr nanoseconds kTime{std::chrono::seconds(1'700'000'000) + nanoseconds(123'456'789)};

TEST(Pcapng, WritesTheBytesOfTheFormat) {
  Bytes out;
  append_file_head(out, "cusp", kUsbmonLink);
  const std::size_t head = out.size();
  EXPECT_EQ(out, hex("0a0d0d0a 28000000 4d3c2b1a 0100 0000 ffffffffffffffff"
                     "0400 0400 63757370 00000000 28000000"
                     "01000000 20000000 dc00 0000 00000000 0900 0100 09000000 00000000 20000000"));
  append_packet(out, nanoseconds(0x0102030405060708), hex("aabb"), hex("cc"), "note");
  EXPECT_EQ(Bytes(out.begin() + static_cast<std::ptrdiff_t>(head), out.end()),
            hex("06000000 30000000 00000000 04030201 08070605 03000000 03000000"
                "aabbcc00 0100 0400 6e6f7465 00000000 30000000"));
}

TEST(Pcapng, ReadsWhatItWrites) {
  Bytes out;
  append_file_head(out, "cusp", kUsbmonLink);
  append_packet(out, kTime, hex("0102"), hex("03"), "");
  append_note(out, kTime, "between");
  append_packet(out, kTime + nanoseconds(1), {}, {}, "empty");
  const Read read = read_all(out);
  ASSERT_TRUE(read.result.ok()) << read.result.error().message;
  ASSERT_EQ(read.blocks.size(), 3U);
  EXPECT_EQ(read.blocks[0].number, 1U);
  EXPECT_EQ(read.blocks[0].link_type, kUsbmonLink);
  EXPECT_EQ(read.blocks[0].since_1970, kTime);
  EXPECT_EQ(read.data[0], hex("010203"));
  EXPECT_TRUE(read.blocks[1].is_note());
  EXPECT_THAT(read.blocks[1].comments, ElementsAre("between"));
  EXPECT_EQ(read.blocks[2].number, 2U);
  EXPECT_THAT(read.blocks[2].comments, ElementsAre("empty"));
  EXPECT_EQ(read.ending, "");
}

TEST(Pcapng, CutsALongCommentBetweenItsCharacters) {
  std::string text(kMaxCommentBytes - 1, 'x');
  text += "\u00fc";
  Bytes out;
  append_file_head(out, "cusp", kUsbmonLink);
  append_note(out, kTime, text);
  const Read read = read_all(out);
  ASSERT_EQ(read.blocks.size(), 1U);
  EXPECT_EQ(read.blocks[0].comments.front(), std::string(kMaxCommentBytes - 1, 'x'));
}

TEST(Pcapng, ReadsASectionOfABigEndianMachine) {
  const Bytes file =
      hex("0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
          // 10^-6 s, ten seconds later than said
          "00000001 0000002c 00dc 0000 00000000 0009 0001 06000000 000e 0008 000000000000000a"
          "0000 0000 0000002c"
          "00000006 00000024 00000000 00000000 000f4241 00000002 00000005 aabb0000 00000024"
          // a simple packet, an unknown block
          "00000003 00000014 00000001 cc000000 00000014"
          "00000bad 0000000c 0000000c");
  const Read read = read_all(file);
  ASSERT_TRUE(read.result.ok()) << read.result.error().message;
  ASSERT_EQ(read.blocks.size(), 2U);
  EXPECT_TRUE(read.blocks[0].big_endian);
  EXPECT_EQ(read.blocks[0].since_1970, nanoseconds(11'000'001'000));
  EXPECT_EQ(read.data[0], hex("aabb"));
  EXPECT_FALSE(read.blocks[1].since_1970);
  EXPECT_EQ(read.data[1], hex("cc"));
}

TEST(Pcapng, ReadsPcapFilesOfEveryKind) {
  struct Kind {
    const char* head;
    const char* record;
    nanoseconds time;
  };
  const Kind kinds[] = {
      {"d4c3b2a1 0200 0400 00000000 00000000 00000400 dc000000",
       "02000000 03000000 01000000 07000000 aa", nanoseconds(2'000'003'000)},
      {"4d3cb2a1 0200 0400 00000000 00000000 00000400 dc000000",
       "02000000 03000000 01000000 07000000 aa", nanoseconds(2'000'000'003)},
      {"a1b2c3d4 0002 0004 00000000 00000000 00040000 000000dc",
       "00000002 00000003 00000001 00000007 aa", nanoseconds(2'000'003'000)},
      {"a1b23c4d 0002 0004 00000000 00000000 00040000 000000dc",
       "00000002 00000003 00000001 00000007 aa", nanoseconds(2'000'000'003)},
  };
  for (const Kind& kind : kinds) {
    Bytes file = hex(kind.head);
    const Bytes record = hex(kind.record);
    file.insert(file.end(), record.begin(), record.end());
    const Read read = read_all(file);
    ASSERT_TRUE(read.result.ok()) << read.result.error().message;
    ASSERT_EQ(read.blocks.size(), 1U);
    EXPECT_EQ(read.blocks[0].since_1970, kind.time);
    EXPECT_EQ(read.blocks[0].link_type, kUsbmonLink);
    EXPECT_EQ(read.data[0], hex("aa"));
  }
}

TEST(Pcapng, ReadsAFileThatBreaksOffUpToThere) {
  Bytes file;
  append_file_head(file, "cusp", kUsbmonLink);
  const std::size_t head = file.size();
  append_packet(file, kTime, hex("01020304"), {}, "");
  const std::size_t whole = file.size();
  append_packet(file, kTime, hex("05060708"), {}, "comment");
  for (std::size_t size = head; size < file.size(); ++size) {
    const Read read =
        read_all(Bytes(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)));
    EXPECT_TRUE(read.result.ok());
    EXPECT_EQ(read.blocks.size(), size < whole ? 0U : 1U);
    if (size == head || size == whole)
      EXPECT_EQ(read.ending, "");
    else
      EXPECT_THAT(read.ending, HasSubstr("breaks off"));
  }
}

TEST(Pcapng, RefusesWhatIsNoCapture) {
  EXPECT_THAT(read_all({}).result.error().message, HasSubstr("no capture file"));
  EXPECT_THAT(read_all(bytes_of("solid teeth")).result.error().message,
              HasSubstr("no capture file"));
  EXPECT_THAT(read_all(hex("1f8b0800 00000000")).result.error().message, HasSubstr("unpack"));
  EXPECT_THAT(read_all(hex("28b52ffd 00000000")).result.error().message, HasSubstr("unpack"));
  EXPECT_EQ(read_all(hex("d4c3b2a1 0200")).result.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(CaptureReader::open("/nowhere/at/all").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CaptureReader::open("/dev/null").error().code, ErrorCode::kUnsupported);
}

// Each byte in turn, and each 32-bit field as the greatest number: an answer, never a crash.
TEST(Pcapng, SurvivesAnyDamage) {
  Bytes file;
  append_file_head(file, "cusp", kUsbmonLink);
  UsbmonRecord record;
  record.captured_bytes = 4;
  append_packet(file, kTime, encode(record), hex("01020304"), "comment");
  append_note(file, kTime, "note");
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const int flip : {1, 0x80, 0xFF}) {
      Bytes damaged = file;
      damaged[i] ^= static_cast<std::uint8_t>(flip);
      EXPECT_LE(read_all(damaged).blocks.size(), 2U);
    }
    if (i + 4 > file.size()) continue;
    Bytes huge = file;
    write_le(std::span(huge), i, ~std::uint32_t{0});
    EXPECT_LE(read_all(huge).blocks.size(), 2U);
  }
}

TEST(UsbmonRecord, IsWhatTheKernelWrites) {
  UsbmonRecord record;
  record.id = 0x0102030405060708;
  record.type = 'C';
  record.transfer = UsbmonTransfer::kBulk;
  record.endpoint = 0x82;
  record.device = 5;
  record.bus = 2;
  record.since_1970 = std::chrono::seconds(3) + std::chrono::microseconds(4);
  record.status = kStatusStall;
  record.length = 9;
  record.captured_bytes = 9;
  const auto bytes = encode(record);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.end()),
            hex("0807060504030201 43 03 82 05 0200 2d 00 0300000000000000 04000000 e0ffffff"
                "09000000 09000000 0000000000000000 00000000 00000000 00000000 00000000"));
  const auto back = decode_usbmon(bytes, false);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id, record.id);
  EXPECT_EQ(back->type, 'C');
  EXPECT_EQ(back->transfer, UsbmonTransfer::kBulk);
  EXPECT_EQ(back->endpoint, 0x82);
  EXPECT_EQ(back->device, 5);
  EXPECT_EQ(back->bus, 2);
  EXPECT_EQ(back->since_1970, record.since_1970);
  EXPECT_EQ(back->status, kStatusStall);
  EXPECT_FALSE(back->has_setup);
}

TEST(UsbmonRecord, IsReadOfABigEndianMachine) {
  const Bytes bytes =
      hex("0102030405060708 53 02 80 05 0002 00 3c 0000000000000003 00000004 ffffff8d"
          "00000012 00000000 8006000100001200 00000000 00000000 00000000 00000000");
  const auto record = decode_usbmon(bytes, true);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->id, 0x0102030405060708U);
  EXPECT_TRUE(record->is_submission());
  EXPECT_EQ(record->bus, 2);
  EXPECT_EQ(record->status, kStatusPending);
  EXPECT_EQ(record->length, 18U);
  ASSERT_TRUE(record->has_setup);
  const ControlSetup setup = decode_setup(record->setup);  // USB's own order
  EXPECT_EQ(setup.request_type, 0x80);
  EXPECT_EQ(setup.request, 6);
  EXPECT_EQ(setup.value, 0x0100);
}

TEST(UsbmonRecord, RefusesAnUnknownTransferType) {
  Bytes bytes(kUsbmonBytes);
  bytes[9] = 4;
  EXPECT_EQ(decode_usbmon(bytes, false).error().code, ErrorCode::kCorrupt);
}

TEST(ErrorText, ComesBackAsItWas) {
  const auto timeout = error_from_text("timeout: no data for 2000 ms");
  ASSERT_TRUE(timeout);
  EXPECT_EQ(timeout->code, ErrorCode::kTimeout);
  EXPECT_EQ(timeout->message, "no data for 2000 ms");
  EXPECT_FALSE(error_from_text("ok"));
  EXPECT_FALSE(error_from_text("timeouts: x"));
}

}  // namespace
}  // namespace cusp::recording
