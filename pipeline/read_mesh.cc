// Files come from anywhere: the counts that they state are compared with their size before Open3D
// may believe them.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>

#include "pipeline/clean.h"
#include "pipeline/export.h"
#include "pipeline/open3d_mesh.h"

namespace cusp {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{2} << 30;
constexpr std::size_t kMaxHeaderLines = 200;
constexpr float kMaxCoordinateMm = 1e6F;
constexpr std::uint64_t kStlHead = 84;
constexpr std::uint64_t kStlTriangle = 50;

Error corrupt(const std::filesystem::path& path, std::string_view why) {
  return error(ErrorCode::kCorrupt, "mesh {}: {}", path.string(), why);
}

Error no_triangles(const std::filesystem::path& path) {
  return error(ErrorCode::kInvalidArgument, "mesh {}: it has no triangles", path.string());
}

// Binary STL must have the size that its count asks for; text STL begins with "solid".
Result<void> check_stl(const std::filesystem::path& path, std::uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, kStlHead> head{};
  file.read(head.data(), head.size());
  const auto got = static_cast<std::size_t>(file.gcount());
  if (got == kStlHead) {
    std::uint32_t triangles = 0;
    std::memcpy(&triangles, head.data() + 80, 4);
    if (size == kStlHead && triangles == 0) return no_triangles(path);
    if (size == kStlHead + kStlTriangle * triangles) return {};
  }
  if (std::string_view(head.data(), got).starts_with("solid")) {
    std::array<char, 512> tail{};
    const auto length = std::min<std::uint64_t>(size, tail.size());
    file.clear();
    file.seekg(-static_cast<std::streamoff>(length), std::ios::end);
    file.read(tail.data(), static_cast<std::streamsize>(length));
    if (std::string_view(tail.data(), length).find("endsolid") != std::string_view::npos) return {};
  }
  return corrupt(path, fmt::format("its {} bytes are not what its header promises", size));
}

// Bytes of a scalar PLY type; 0 when there is no such type.
std::uint64_t ply_type_bytes(std::string_view type) {
  using Row = std::pair<std::string_view, std::uint64_t>;
  static constexpr std::array<Row, 16> kTypes = {{{"char", 1},
                                                  {"uchar", 1},
                                                  {"int8", 1},
                                                  {"uint8", 1},
                                                  {"short", 2},
                                                  {"ushort", 2},
                                                  {"int16", 2},
                                                  {"uint16", 2},
                                                  {"int", 4},
                                                  {"uint", 4},
                                                  {"int32", 4},
                                                  {"uint32", 4},
                                                  {"float", 4},
                                                  {"float32", 4},
                                                  {"double", 8},
                                                  {"float64", 8}}};
  for (const auto& [name, bytes] : kTypes)
    if (name == type) return bytes;
  return 0;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

// The least number of bytes that the header's elements need, compared with what follows it.
Result<void> check_ply(const std::filesystem::path& path, std::uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  bool text = false;
  std::uint64_t needed = 0;
  std::uint64_t count = 0;  // of the present element
  for (std::size_t n = 0; n < kMaxHeaderLines && std::getline(file, line); ++n) {
    const std::vector<std::string_view> words = words_of(line);
    if (n == 0 && (words.size() != 1 || words[0] != "ply"))
      return corrupt(path, "it is no PLY file");
    if (words.empty()) continue;
    if (words[0] == "end_header") {
      // The last line of a text may lack its end.
      if (needed > (text ? 1 : 0) + size - std::min(size, static_cast<std::uint64_t>(file.tellg())))
        return corrupt(path, "it is shorter than its header promises");
      return {};
    }
    if (words[0] == "format") {
      text = words.size() > 1 && words[1] == "ascii";
    } else if (words[0] == "element") {
      if (words.size() != 3) return corrupt(path, "its header is damaged");
      const auto [end, failed] =
          std::from_chars(words[2].data(), words[2].data() + words[2].size(), count);
      if (failed != std::errc{} || end != words[2].data() + words[2].size() || count > size)
        return corrupt(path, fmt::format("it cannot hold {} elements", words[2]));
    } else if (words[0] == "property") {
      const bool list = words.size() == 5 && words[1] == "list";
      const std::uint64_t bytes =
          list ? ply_type_bytes(words[2]) : (words.size() == 3 ? ply_type_bytes(words[1]) : 0);
      if (bytes == 0) return corrupt(path, "its header is damaged");
      // In text, a digit and a separator. Counts are at most the file's size: no overflow.
      needed += count * (text ? 2 : bytes);
    }
  }
  return corrupt(path, "its header has no end");
}

Result<void> check_values(const std::filesystem::path& path, const Mesh& mesh) {
  if (auto valid = validate(mesh); !valid.ok()) return corrupt(path, valid.error().message);
  for (const Eigen::Vector3f& vertex : mesh.vertices_mm)
    if (vertex.cwiseAbs().maxCoeff() > kMaxCoordinateMm)
      return corrupt(path, "it has a point farther than a kilometre away");
  return {};
}

Result<std::uint64_t> readable_size(const std::filesystem::path& path) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed))
    return error(ErrorCode::kNotFound, "mesh {}: there is no such file", path.string());
  const std::uint64_t size = std::filesystem::file_size(path, failed);
  if (failed || !std::ifstream(path, std::ios::binary))
    return error(ErrorCode::kIo, "mesh {}: it cannot be opened", path.string());
  if (size > kMaxFileBytes)
    return error(ErrorCode::kUnsupported, "mesh {}: {} MiB are more than the {} that can be read",
                 path.string(), size >> 20, kMaxFileBytes >> 20);
  return size;
}

Result<Mesh> checked(const std::filesystem::path& path, Mesh mesh) {
  CUSP_TRY(check_values(path, mesh));
  if (mesh.empty()) return no_triangles(path);
  return mesh;
}

// STL repeats every vertex, and other writers copy that habit.
Result<Mesh> welded(Result<Mesh> mesh) {
  WorkerPool pool(1);
  if (mesh.ok()) weld(*mesh, 0, pool);
  return mesh;
}

}  // namespace

Result<Mesh> read_mesh(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".ply") return welded(read_ply(path));
  if (ending != ".stl" && ending != ".obj")
    return error(ErrorCode::kInvalidArgument, "mesh {}: only .stl, .ply and .obj can be read",
                 path.string());
  CUSP_ASSIGN(const std::uint64_t size, readable_size(path));
  if (ending == ".stl") CUSP_TRY(check_stl(path, size));
  CUSP_ASSIGN(Mesh mesh, open3d_mesh::read(path));
  return welded(checked(path, std::move(mesh)));
}

Result<Mesh> read_ply(const std::filesystem::path& path) {
  CUSP_ASSIGN(const std::uint64_t size, readable_size(path));
  CUSP_TRY(check_ply(path, size));
  CUSP_ASSIGN(Mesh mesh, open3d_mesh::read_ply(path));
  return checked(path, std::move(mesh));
}

}  // namespace cusp
