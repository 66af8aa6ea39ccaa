#include "tools/bench/depth_stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "tools/sim/png_file.h"

namespace cusp::bench {
namespace {

constexpr int kRenderThreads = 2;
constexpr std::array<char, 8> kMagic = {'C', 'U', 'S', 'P', 'B', 'N', 'C', '1'};

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint64_t parameters = 0, vertices = 0, triangles = 0, frames = 0, pixels = 0;
};

std::size_t bytes_before_frames(const Header& header) {
  const std::size_t bytes = sizeof(Header) + header.parameters +
                            header.vertices * sizeof(Eigen::Vector3f) +
                            header.triangles * sizeof(std::array<std::uint32_t, 3>) +
                            header.frames * sizeof(Eigen::Matrix4d);
  return (bytes + 63) / 64 * 64;
}
std::size_t bytes_in_all(const Header& header) {
  return bytes_before_frames(header) + header.frames * header.pixels * sizeof(std::uint16_t);
}

std::size_t pixels_of(const Intrinsics& camera) {
  return static_cast<std::size_t>(camera.width_px) * static_cast<std::size_t>(camera.height_px);
}

Error told_by_system(const std::filesystem::path& path) {
  const int number = errno;
  return error(number == ENOSPC ? ErrorCode::kNoSpace : ErrorCode::kIo, "{}: {}", path.string(),
               std::strerror(number));
}

}  // namespace

// A file in memory.
class DepthStream::File {
 public:
  // Of that size, when it is to be written.
  static Result<std::unique_ptr<File>> map(const std::filesystem::path& path,
                                           std::optional<std::size_t> new_size) {
    const int descriptor =
        ::open(path.c_str(), new_size ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY, 0644);
    if (descriptor < 0) return told_by_system(path);
    auto file = std::unique_ptr<File>(new File);
    struct stat status {};
    // Room is taken at once: a full disk would else be a signal while it is written.
    int failure = new_size ? posix_fallocate(descriptor, 0, static_cast<off_t>(*new_size)) : 0;
    if (failure == 0 && fstat(descriptor, &status) != 0) failure = errno;
    if (failure == 0) {
      file->size_ = static_cast<std::size_t>(status.st_size);
      void* const at = mmap(nullptr, file->size_, new_size ? PROT_READ | PROT_WRITE : PROT_READ,
                            MAP_SHARED, descriptor, 0);
      if (at == MAP_FAILED)
        failure = errno;
      else
        file->bytes_ = static_cast<std::byte*>(at);
    }
    ::close(descriptor);
    errno = failure;
    if (failure != 0) return told_by_system(path);
    return file;
  }
  // In memory alone.
  static std::unique_ptr<File> in_memory(std::size_t size) {
    auto file = std::make_unique<File>();
    void* const at =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CUSP_CHECK(at != MAP_FAILED, "memory for the frames");
    file->bytes_ = static_cast<std::byte*>(at);
    file->size_ = size;
    return file;
  }
  ~File() {
    if (bytes_ != nullptr) munmap(bytes_, size_);
  }
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] std::byte* bytes() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return size_; }

  [[nodiscard]] Header header() const {
    Header header;
    std::memcpy(&header, bytes_, sizeof(header));
    return header;
  }
  [[nodiscard]] std::uint16_t* frame(std::size_t i) {
    const Header now = header();
    return reinterpret_cast<std::uint16_t*>(bytes_ + bytes_before_frames(now)) + i * now.pixels;
  }

 private:
  std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

namespace {

// Copies `count` values from or to the running place in a file.
template <typename T>
void take(const std::byte*& at, std::vector<T>& values, std::size_t count) {
  values.resize(count);
  if (count > 0) std::memcpy(static_cast<void*>(values.data()), at, count * sizeof(T));
  at += count * sizeof(T);
}
template <typename T>
void put(std::byte*& at, const T* values, std::size_t count) {
  if (count > 0) std::memcpy(at, static_cast<const void*>(values), count * sizeof(T));
  at += count * sizeof(T);
}

void write_content(std::byte* at, const Header& header, const std::string& parameters,
                   const SceneContent& content) {
  put(at, &header, 1);
  put(at, parameters.data(), parameters.size());
  put(at, content.truth.vertices_mm.data(), content.truth.vertices_mm.size());
  put(at, content.truth.triangles.data(), content.truth.triangles.size());
  for (const RigidTransform& pose : content.truth_from_sensor) put(at, pose.matrix().data(), 16);
}

// Nothing, when the bytes are not those of this scene.
std::optional<SceneContent> read_content(const std::byte* at, std::size_t size,
                                         const std::string& parameters, std::uint64_t frames,
                                         std::size_t pixels) {
  Header header;
  if (size < sizeof(header)) return std::nullopt;
  std::memcpy(&header, at, sizeof(header));
  at += sizeof(header);
  if (header.magic != kMagic || header.parameters != parameters.size() || header.pixels != pixels ||
      header.frames < frames || bytes_in_all(header) != size ||
      std::memcmp(at, parameters.data(), parameters.size()) != 0)
    return std::nullopt;
  at += header.parameters;
  SceneContent content;
  take(at, content.truth.vertices_mm, header.vertices);
  take(at, content.truth.triangles, header.triangles);
  const std::size_t count = frames == 0 ? header.frames : frames;
  for (std::size_t i = 0; i < count; ++i) {
    RigidTransform pose;
    std::memcpy(pose.matrix().data(), at + i * sizeof(Eigen::Matrix4d), sizeof(Eigen::Matrix4d));
    content.truth_from_sensor.push_back(pose);
  }
  return content;
}

}  // namespace

DepthStream::DepthStream(Scene scene, SceneContent content, std::size_t frames,
                         std::unique_ptr<File> file)
    : scene_(std::move(scene)),
      content_(std::move(content)),
      frames_(frames),
      file_(std::move(file)) {}
DepthStream::~DepthStream() = default;
DepthStream::DepthStream(DepthStream&&) noexcept = default;
DepthStream& DepthStream::operator=(DepthStream&&) noexcept = default;

std::span<const std::uint16_t> DepthStream::z16(std::size_t frame) const {
  CUSP_CHECK(frame < size(), "a frame of the stream");
  return {file_->frame(frame), pixels_of(scene_.calibration.depth)};
}

RawFrame DepthStream::raw(std::size_t frame, std::uint64_t sequence) const {
  const auto counts = std::as_bytes(z16(frame));
  RawFrame raw{.sequence = sequence,
               .format = PixelFormat::kZ16,
               .width_px = scene_.calibration.depth.width_px,
               .height_px = scene_.calibration.depth.height_px};
  raw.bytes.resize(counts.size());
  std::memcpy(raw.bytes.data(), counts.data(), counts.size());
  return raw;
}

Result<DepthStream> DepthStream::open(const SceneRequest& request,
                                      const std::filesystem::path& cache_folder) {
  CUSP_ASSIGN(Scene scene, find_scene(request));
  const std::size_t pixels = pixels_of(scene.calibration.depth);
  const auto path_of = [&](std::uint64_t frames) {
    return cache_folder / fmt::format("{}-{}-{}.cusp-bench", request.name, request.seed,
                                      frames == 0 ? "all" : std::to_string(frames));
  };
  for (const std::uint64_t frames : {std::uint64_t{0}, request.frames}) {
    auto file = File::map(path_of(frames), std::nullopt);
    if (!file.ok()) continue;
    auto content =
        read_content((*file)->bytes(), (*file)->size(), scene.parameters, request.frames, pixels);
    if (!content) continue;
    const std::size_t count = content->truth_from_sensor.size();
    return DepthStream(std::move(scene), std::move(*content), count, std::move(file).value());
  }

  CUSP_ASSIGN(SceneContent content, scene.make_content());
  CUSP_ASSIGN(const sim::DepthRenderer renderer, sim::DepthRenderer::create(content.truth));
  const Header header{.parameters = scene.parameters.size(),
                      .vertices = content.truth.vertices_mm.size(),
                      .triangles = content.truth.triangles.size(),
                      .frames = content.truth_from_sensor.size(),
                      .pixels = pixels};
  std::error_code problem;
  std::filesystem::create_directories(cache_folder, problem);
  // Another run may be making the same file.
  const std::filesystem::path path = path_of(request.frames);
  const std::filesystem::path part = path.string() + fmt::format(".{}", getpid());
  CUSP_ASSIGN(auto file, File::map(part, bytes_in_all(header)));
  write_content(file->bytes(), header, scene.parameters, content);
  {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < kRenderThreads; ++i)
      threads.emplace_back([&] {
        const Measure measure = scene.make_measure();
        sim::DepthImage ideal;
        for (std::size_t frame = next++; frame < header.frames; frame = next++) {
          renderer.render(scene.calibration.depth, content.truth_from_sensor[frame], ideal);
          measure(ideal, frame, {file->frame(frame), pixels});
        }
      });
  }
  std::filesystem::rename(part, path, problem);
  if (problem) return error(ErrorCode::kIo, "{}: {}", path.string(), problem.message());
  return DepthStream(std::move(scene), std::move(content), header.frames, std::move(file));
}

Result<DepthStream> DepthStream::read(const RecordedFrames& recorded, std::uint64_t most_frames) {
  CUSP_ASSIGN(std::vector<std::filesystem::path> files, sim::list_pngs(recorded.folder));
  if (most_frames > 0 && files.size() > most_frames) files.resize(most_frames);
  Scene scene;
  scene.parameters = recorded.folder.string();
  scene.calibration.id = "cusp-bench-recorded";
  scene.calibration.depth_unit_mm = recorded.depth_unit_mm;
  scene.reconstruction = recorded.reconstruction;
  scene.rate_hz = recorded.rate_hz;
  std::unique_ptr<File> file;
  Header header{.frames = files.size()};
  for (std::size_t i = 0; i < files.size(); ++i) {
    CUSP_ASSIGN(const sim::GreyImage16 image, sim::read_png16(files[i]));
    if (i == 0) {
      const auto& [fx, fy, cx, cy] = recorded.optics_px;
      scene.calibration.depth = {image.width_px, image.height_px, fx, fy, cx, cy};
      header.pixels = image.pixels.size();
      file = File::in_memory(bytes_in_all(header));
      std::memcpy(file->bytes(), &header, sizeof(header));
    }
    if (image.width_px != scene.calibration.depth.width_px || image.pixels.size() != header.pixels)
      return error(ErrorCode::kInvalidArgument, "{}: {}x{}, the first picture has another size",
                   files[i].string(), image.width_px, image.height_px);
    std::ranges::copy(image.pixels, file->frame(i));
  }
  return DepthStream(std::move(scene), {}, files.size(), std::move(file));
}

}  // namespace cusp::bench
