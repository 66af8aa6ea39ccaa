// Turns what `lsusb -v` printed of a device back into its configuration descriptor.
//
// lsusb prints the fields of a descriptor in the order of their bytes and under the names of the
// standards, whose first letters tell their width (b one byte, w two, dw four). What lsusb prints
// wrongly or cuts short is mended from bLength. Descriptors of other classes keep their length and
// type and are zero otherwise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cusp {

// A descriptor as lsusb prints it. "wWidth( 2)" is the field "wWidth", for the third time.
struct LsusbDescriptor {
  std::string title;  // "VideoStreaming Interface Descriptor"
  struct Field {
    std::string name;
    std::string value;
  };
  std::vector<Field> fields{};
  std::vector<std::uint8_t> raw{};  // lsusb did not know it and printed its bytes

  [[nodiscard]] bool has(std::string_view name) const;
  // 0 when there is none, as for a field that lsusb leaves out.
  [[nodiscard]] std::uint32_t number(std::string_view name) const;
  [[nodiscard]] std::vector<std::uint32_t> numbers(std::string_view name) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] bool is(std::string_view titled, std::uint32_t subtype) const {
    return title == titled && number("bDescriptorSubtype") == subtype;
  }
};

// Of the first device of the file, from its configuration on.
std::vector<LsusbDescriptor> read_lsusb(const std::filesystem::path& path);
std::vector<std::uint8_t> to_bytes(const LsusbDescriptor& descriptor);
std::vector<std::uint8_t> to_bytes(const std::vector<LsusbDescriptor>& configuration);
// "{59555932-0000-1000-8000-00aa00389b71}": lsusb prints the bytes in their order.
std::vector<std::uint8_t> guid_bytes(std::string_view text);

}  // namespace cusp
