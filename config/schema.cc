#include "config/schema.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace cusp::config {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

std::string allowed(const Key& key) {
  return std::visit(
      Overloaded{[](const Text& text) { return std::string(text.allowed); },
                 [](const Path& path) {
                   return std::string(path.may_be_empty ? "a path, or empty" : "a path");
                 },
                 [](const Number& number) {
                   return fmt::format("a number between {} and {}", number.min, number.max);
                 },
                 [](const Whole& whole) {
                   return fmt::format("a whole number between {} and {}", whole.min, whole.max);
                 }},
      key.field);
}

std::uint64_t get(const Whole& whole) {
  return std::visit(
      Overloaded{[](const std::optional<std::uint64_t>* value) { return value->value_or(0); },
                 [](const auto* value) { return static_cast<std::uint64_t>(*value); }},
      whole.value);
}

void set(const Whole& whole, std::uint64_t number) {
  std::visit(Overloaded{[&](std::optional<std::uint64_t>* value) {
                          *value = number == 0 ? std::nullopt : std::optional(number);
                        },
                        [&]<typename T>(T* value) { *value = static_cast<T>(number); }},
             whole.value);
}

template <typename T>
std::optional<T> number_from(std::string_view text) {
  T number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// False: the text is not what the key allows.
bool assign(const Key& key, const std::string& text, const std::filesystem::path& folder) {
  return std::visit(Overloaded{[&](const Text& field) {
                                 if (!field.fits(text)) return false;
                                 *field.value = text;
                                 return true;
                               },
                               [&](const Path& field) {
                                 if (text.empty() && !field.may_be_empty) return false;
                                 *field.value = text.empty() ? std::filesystem::path{}
                                                             : (folder / text).lexically_normal();
                                 return true;
                               },
                               [&](const Number& field) {
                                 const auto number = number_from<double>(text);
                                 if (!number || !(*number >= field.min && *number <= field.max))
                                   return false;
                                 *field.value = *number;
                                 return true;
                               },
                               [&](const Whole& field) {
                                 const auto number = number_from<std::uint64_t>(text);
                                 if (!number || *number < field.min || *number > field.max)
                                   return false;
                                 set(field, *number * field.unit);
                                 return true;
                               }},
                    key.field);
}

// Quoted when YAML would read something else into it.
std::string yaml_scalar(const std::string& text) {
  const bool special = text.empty() || text == "null" || text == "Null" || text == "NULL" ||
                       text.find_first_of("#\"'\\{}[],&*!|>%@`~?\t\n") != std::string::npos ||
                       text.find(": ") != std::string::npos || text.back() == ':' ||
                       text.front() == '-' || text.front() == ' ' || text.back() == ' ';
  if (!special) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string text_of(const Key& key) {
  return std::visit(
      Overloaded{[](const Text& text) { return yaml_scalar(*text.value); },
                 [](const Path& path) { return yaml_scalar(path.value->string()); },
                 [](const Number& number) { return fmt::format("{}", *number.value); },
                 [](const Whole& whole) { return fmt::format("{}", get(whole) / whole.unit); }},
      key.field);
}

std::string dotted(const std::vector<std::string>& path, std::size_t from = 0) {
  std::string text;
  for (std::size_t i = from; i < path.size(); ++i) text += (i == from ? "" : ".") + path[i];
  return text;
}

// What may stand where this key stands: the keys of its group, or the groups when there is no such
// group.
std::string known_beside(const Keys& keys, const std::string& name, const std::string& family) {
  const std::size_t dot = name.find('.');
  const std::string group = dot == std::string::npos ? "" : name.substr(0, dot + 1);
  const bool in_group =
      !group.empty() && std::any_of(keys.begin(), keys.end(),
                                    [&](const Key& key) { return key.name.starts_with(group); });
  std::vector<std::string> known;
  for (const Key& key : keys) {
    if (in_group && !key.name.starts_with(group)) continue;
    std::string one =
        in_group ? key.name.substr(group.size()) : key.name.substr(0, key.name.find('.'));
    if (known.empty() || known.back() != one) known.push_back(std::move(one));
  }
  if (!in_group && !family.empty()) known.push_back(family);
  std::string list;
  for (const std::string& one : known) list += (list.empty() ? "" : ", ") + one;
  return in_group ? fmt::format("known in {}: {}", group.substr(0, group.size() - 1), list)
                  : fmt::format("known: {}", list);
}

std::string shortened(const std::string& text) {
  const std::size_t end = std::min(text.find('\n'), std::size_t{80});
  return text.substr(0, end) + (end < text.size() ? "..." : "");
}

void write_keys(std::string& out, const Keys& keys, const std::string& indent, bool with_docs) {
  std::string group;
  for (const Key& key : keys) {
    const std::size_t dot = key.name.find('.');
    const std::string this_group = key.name.substr(0, dot);
    if (this_group != group) {
      out += fmt::format("{}{}{}:\n", with_docs ? "\n" : "", indent, this_group);
      group = this_group;
    }
    if (with_docs) out += fmt::format("{}  # {} Allowed: {}.\n", indent, key.doc, allowed(key));
    out += fmt::format("{}  {}: {}\n", indent, key.name.substr(dot + 1), text_of(key));
  }
}

}  // namespace

Result<void> read_into(const Schema& schema, const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  CUSP_ASSIGN(const std::string text, read_file(file));
  CUSP_ASSIGN(std::vector<Entry> entries, parse_document(text, name));

  const std::string family = schema.family ? schema.family->group : "";
  const auto in_family = [&](const Entry& entry) {
    return schema.family && entry.path.size() >= 2 && entry.path[0] == family;
  };
  // New members begin with the first one's values, wherever it stands in the file.
  std::stable_partition(entries.begin(), entries.end(), [&](const Entry& entry) {
    return in_family(entry) && entry.path[1] == schema.family->template_name;
  });

  const auto refuse = [&](const Entry& entry, const std::string& why) {
    return error(ErrorCode::kInvalidArgument, "{}:{}: {}", name, entry.line, why);
  };
  std::map<std::string, const Entry*> members;  // the last line of each
  for (const Entry& entry : entries) {
    const bool of_member = in_family(entry);
    if (of_member) members[entry.path[1]] = &entry;
    const Keys keys = of_member ? schema.family->keys_of(entry.path[1]) : schema.keys;
    const std::string key_name = dotted(entry.path, of_member ? 2 : 0);
    const bool is_group = key_name.empty() || key_name == family ||
                          std::any_of(keys.begin(), keys.end(), [&](const Key& known) {
                            return known.name.starts_with(key_name + ".");
                          });
    if (is_group && entry.text.empty()) continue;
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key& known) { return known.name == key_name; });
    if (key == keys.end())
      return refuse(entry, fmt::format("{} is {}; {}", dotted(entry.path),
                                       is_group ? "a group, not a value" : "not a key",
                                       known_beside(keys, is_group ? key_name + "." : key_name,
                                                    of_member ? "" : family)));
    if (!assign(*key, entry.text, folder))
      return refuse(
          entry, fmt::format("{} is {}: {}", dotted(entry.path),
                             entry.text.empty() ? "empty" : shortened(entry.text), allowed(*key)));
  }
  for (const auto& [member, entry] : members)
    if (const auto problem = schema.family->problem_of(member))
      return refuse(*entry, fmt::format("{}.{}: {}", family, member, *problem));
  return {};
}

std::string annotate(const Schema& schema) {
  std::string out = fmt::format("# {}\n", schema.title);
  write_keys(out, schema.keys, "", true);
  if (!schema.family) return out;
  out += fmt::format("\n# {}\n", schema.family->doc);
  for (const Key& key : schema.family->keys_of(schema.family->names.front()))
    out += fmt::format("#   {}: {} Allowed: {}.\n", key.name, key.doc, allowed(key));
  out += schema.family->group + ":\n";
  for (const std::string& member : schema.family->names) {
    out += fmt::format("  {}:\n", yaml_scalar(member));
    write_keys(out, schema.family->keys_of(member), "    ", false);
  }
  return out;
}

}  // namespace cusp::config
