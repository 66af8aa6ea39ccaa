#include "tools/cuspctl/answers.h"

#include <algorithm>
#include <iostream>

namespace cusp::cuspctl {

int fail(const Error& error) {
  std::cerr << "cuspctl: " << error.message << "\n";
  switch (error.code) {
    case ErrorCode::kUnavailable:  // of the client: client.h
      return kNotReachable;
    case ErrorCode::kTimeout:
      return kTimeout;
    default:
      return kRefused;
  }
}

int print_json(const json& value) {
  std::cout << value.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  return kOk;
}

std::string shown(const json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return text;
}

std::string shown(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? "" : shown(*found);
}

bool has_number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number();
}

std::uint64_t count_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

double number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0.0;
}

bool is_set(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

const json& list_of(const json& object, const char* key) {
  static const json none = json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : none;
}

}  // namespace cusp::cuspctl
