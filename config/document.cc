#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

#include "core/text.h"

namespace cusp::config {
namespace {

constexpr std::size_t kMaxBytes = 256 * 1024;
constexpr std::size_t kMaxDepth = 8;

struct Refusal {
  int line;
  std::string why;
};

std::string join(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& part : path) text += (text.empty() ? "" : ".") + part;
  return text;
}

// Turns yaml-cpp's events into entries. A map is open while its end has not come; `awaits_value`
// says whose turn it is.
class Flattener final : public YAML::EventHandler {
 public:
  std::vector<Entry> take() { return std::move(entries_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, "", "", anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refusal{line(mark), "aliases (*name) are not used here: write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    scalar(mark, tag, value, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    throw Refusal{line(mark), maps_.empty() ? "a list: expected keys and values"
                                            : join(path_) + " is a list: no key takes one"};
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    check(mark, tag, anchor);
    if (!maps_.empty() && !maps_.back().awaits_value)
      throw Refusal{line(mark), "a key must be one word or text"};
    if (maps_.size() == kMaxDepth)
      throw Refusal{line(mark), fmt::format("nested deeper than {} levels", kMaxDepth)};
    maps_.push_back({.line = line(mark), .keys = {}});
  }
  void OnMapEnd() override {
    // An empty section would slip past the table of keys, a misspelt one too.
    if (maps_.size() > 1 && maps_.back().keys.empty())
      throw Refusal{maps_.back().line,
                    join(path_) + " holds nothing: write its keys, or leave it out"};
    maps_.pop_back();
    value_ends();
  }

 private:
  struct Map {
    int line = 0;
    std::set<std::string> keys;
    bool awaits_value = false;
  };

  static int line(const YAML::Mark& mark) { return mark.line + 1; }

  static void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0)
      throw Refusal{line(mark), "anchors (&name) are not used here: write the value out"};
    if (!tag.empty() && tag != "?" && tag != "!")  // those two: plain and quoted
      throw Refusal{line(mark), "tags (!name) are not used here"};
  }

  void scalar(const YAML::Mark& mark, const std::string& tag, const std::string& value,
              YAML::anchor_t anchor) {
    check(mark, tag, anchor);
    if (maps_.empty()) throw Refusal{line(mark), "not a key with a value: expected \"key: value\""};
    Map& map = maps_.back();
    if (map.awaits_value) {
      entries_.push_back({path_, value, line(mark)});
      value_ends();
      return;
    }
    path_.push_back(value);
    if (!map.keys.insert(value).second)
      throw Refusal{line(mark), join(path_) + " is set twice: keep one"};
    map.awaits_value = true;
  }

  void value_ends() {
    if (maps_.empty()) return;
    maps_.back().awaits_value = false;
    path_.pop_back();
  }

  std::vector<Map> maps_;
  std::vector<std::string> path_;
  std::vector<Entry> entries_;
};

int line_of_byte(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(),
                                         text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

}  // namespace

Result<std::vector<Entry>> parse_document(std::string_view text, const std::string& name) {
  const auto refuse = [&](int line, std::string_view why) {
    return error(ErrorCode::kInvalidArgument, "{}:{}: {}", name, line, why);
  };
  if (text.size() > kMaxBytes)
    return error(ErrorCode::kInvalidArgument, "{}: {} bytes: a configuration has at most {}", name,
                 text.size(), kMaxBytes);
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return refuse(line_of_byte(text, nul), "a zero byte: expected UTF-8 text");
  for (std::size_t begin = 0, line = 1; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (!is_utf8(text.substr(begin, end - begin)))
      return refuse(static_cast<int>(line), "not UTF-8: save the file with that encoding");
    begin = end + 1;
  }
  try {
    // yaml-cpp 0.7 sees a quote that is never closed only when no line end follows it.
    std::istringstream input{std::string(text.substr(0, text.find_last_not_of(" \n\r\t") + 1))};
    YAML::Parser parser(input);
    Flattener flattener;
    if (!parser.HandleNextDocument(flattener))
      return error(ErrorCode::kInvalidArgument, "{}: the file is empty: expected keys and values",
                   name);
    Flattener second;
    if (parser.HandleNextDocument(second))
      return error(ErrorCode::kInvalidArgument, "{}: more than one document: remove the \"---\"",
                   name);
    return flattener.take();
  } catch (const Refusal& refusal) {
    return refuse(refusal.line, refusal.why);
  } catch (const YAML::Exception& exception) {
    return refuse(std::max(exception.mark.line, 0) + 1, "not valid YAML: " + exception.msg);
  }
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::error_code failure;
  const auto status = std::filesystem::status(path, failure);
  if (status.type() == std::filesystem::file_type::not_found)
    return error(ErrorCode::kNotFound, "{}: there is no such file", path.string());
  if (!std::filesystem::is_regular_file(status))
    return error(ErrorCode::kInvalidArgument, "{}: not a regular file", path.string());
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return error(errno == EACCES ? ErrorCode::kPermission : ErrorCode::kIo,
                 "{}: can't be opened: {}", path.string(), std::strerror(errno));
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad())
    return error(ErrorCode::kIo, "{}: can't be read: {}", path.string(), std::strerror(errno));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace cusp::config
