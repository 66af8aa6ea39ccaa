#include "tests/drivers/lsusb_text.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace cusp {
namespace {

constexpr std::string_view kUnrecognized = "** UNRECOGNIZED:";

std::string_view trimmed(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
}

// "0x0201 Camera Sensor", "0x 9", "13.500000MHz", "1.00", "100mA", "0)   333333".
std::uint32_t parse_number(std::string_view name, std::string_view value) {
  if (const auto index_end = value.find(')'); index_end < 4) value.remove_prefix(index_end + 1);
  std::string text(trimmed(value));
  if (text.starts_with("0x"))
    return static_cast<std::uint32_t>(std::stoul(text.substr(2), nullptr, 16));
  if (name.starts_with("bcd"))
    return static_cast<std::uint32_t>(
        std::stoul(text.erase(text.find('.'), 1), nullptr, 16));  // "1.00" is 0x0100
  if (text.find("MHz") != std::string::npos)
    return static_cast<std::uint32_t>(std::stod(text) * 1e6 + 0.5);
  const auto number = static_cast<std::uint32_t>(std::stoul(text));
  return name == "MaxPower" ? number / 2 : number;
}

bool is_field(std::string_view name) {
  static const std::set<std::string_view> kPrefixes{"b",  "i",   "w",   "dw",   "bm",
                                                    "ba", "bma", "bcd", "guid", "id"};
  const std::size_t capital = name.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  return name == "MaxPower" ||
         (capital != std::string_view::npos && kPrefixes.count(name.substr(0, capital)) != 0);
}

std::vector<std::uint8_t> hex_bytes(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  std::string digits;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) continue;
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

std::size_t width_of(std::string_view name, const LsusbDescriptor& in) {
  const bool video = in.title.starts_with("Video");
  // Bitmaps of bControlSize bytes, which lsusb prints as one number, except an extension unit's.
  const bool whole_bitmap = name == "bmControls" && in.number("bDescriptorSubtype") != 6;
  if (video && (whole_bitmap || name == "bmaControls")) return in.number("bControlSize");
  if (name.starts_with("dw")) return 4;
  if (name.starts_with("w") || name.starts_with("bcd") || name.starts_with("id")) return 2;
  return 1;
}

}  // namespace

bool LsusbDescriptor::has(std::string_view name) const {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const Field& field) { return field.name == name; });
}

std::vector<std::uint32_t> LsusbDescriptor::numbers(std::string_view name) const {
  std::vector<std::uint32_t> all;
  for (const Field& field : fields)
    if (field.name == name) all.push_back(parse_number(name, field.value));
  return all;
}

std::uint32_t LsusbDescriptor::number(std::string_view name) const {
  const auto all = numbers(name);
  return all.empty() ? 0 : all.front();
}

std::string LsusbDescriptor::text(std::string_view name) const {
  for (const Field& field : fields)
    if (field.name == name) return field.value;
  return {};
}

std::vector<LsusbDescriptor> read_lsusb(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<LsusbDescriptor> found;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    const std::string_view text = trimmed(line);
    if (text.starts_with("Configuration Descriptor:")) inside = true;
    if (text.starts_with("Device Qualifier") || text.starts_with("Device Status")) break;
    if (!inside || text.empty()) continue;
    if (text.starts_with(kUnrecognized)) {
      found.push_back(
          {.title = "unrecognized", .raw = hex_bytes(text.substr(kUnrecognized.size()))});
      continue;
    }
    const std::string_view name = text.substr(0, text.find_first_of(" (["));
    if (text.ends_with("Descriptor:") || text.ends_with("Association:")) {
      found.push_back({.title = std::string(text.substr(0, text.size() - 1))});
    } else if (is_field(name)) {
      std::string_view value = text.substr(name.size());
      if (value.starts_with("(")) value.remove_prefix(1);
      found.back().fields.push_back({std::string(name), std::string(trimmed(value))});
    }
  }
  return found;
}

std::vector<std::uint8_t> guid_bytes(std::string_view text) { return hex_bytes(text); }

std::vector<std::uint8_t> to_bytes(const LsusbDescriptor& descriptor) {
  if (!descriptor.raw.empty()) return descriptor.raw;
  const std::size_t length = descriptor.number("bLength");
  std::vector<std::uint8_t> bytes;
  const bool other_class =
      descriptor.title.starts_with("Audio") || descriptor.title.starts_with("HID");
  for (const LsusbDescriptor::Field& field : descriptor.fields) {
    if (other_class && bytes.size() >= 3) break;
    if (field.name.starts_with("guid")) {
      const auto guid = guid_bytes(field.value);
      bytes.insert(bytes.end(), guid.begin(), guid.end());
      continue;
    }
    std::uint32_t value = parse_number(field.name, field.value);
    // lsusb prints the number of sizes in its place.
    if (field.name == "bNumCompressionPatterns")
      value = static_cast<std::uint32_t>(descriptor.numbers("bCompression").size());
    for (std::size_t i = 0; i < width_of(field.name, descriptor); ++i)
      bytes.push_back(i < 4 ? static_cast<std::uint8_t>(value >> (8 * i)) : std::uint8_t{0});
  }
  // UVC 1.0 has no bmVideoStandards; lsusb reads the byte behind the descriptor.
  if (bytes.size() == length + 1 && descriptor.has("bmVideoStandards")) bytes.pop_back();
  if (other_class) bytes.resize(length);
  return bytes;
}

std::vector<std::uint8_t> to_bytes(const std::vector<LsusbDescriptor>& configuration) {
  std::vector<std::uint8_t> bytes;
  bool video_control = false;
  for (const LsusbDescriptor& descriptor : configuration) {
    const auto more = to_bytes(descriptor);
    bytes.insert(bytes.end(), more.begin(), more.end());
    if (descriptor.title == "Interface Descriptor")
      video_control = descriptor.number("bInterfaceClass") == 14 &&
                      descriptor.number("bInterfaceSubClass") == 1;
    // A status endpoint has a class-specific descriptor (UVC 1.5 section 3.8.2.2) that lsusb of the
    // time left out.
    if (video_control && descriptor.title == "Endpoint Descriptor")
      bytes.insert(bytes.end(), {5, 0x25, 3, more.at(4), more.at(5)});
  }
  return bytes;
}

}  // namespace cusp
