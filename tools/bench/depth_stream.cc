#include "tools/bench/depth_stream.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "core/check.h"
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

Header header_of(MappedFile& file) {
  Header header;
  std::memcpy(&header, file.bytes(), sizeof(header));
  return header;
}
std::uint16_t* frame_of(MappedFile& file, std::size_t i) {
  const Header header = header_of(file);
  return reinterpret_cast<std::uint16_t*>(file.bytes() + bytes_before_frames(header)) +
         i * header.pixels;
}

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
                         std::unique_ptr<MappedFile> file)
    : scene_(std::move(scene)),
      content_(std::move(content)),
      frames_(frames),
      file_(std::move(file)) {}
DepthStream::~DepthStream() = default;
DepthStream::DepthStream(DepthStream&&) noexcept = default;
DepthStream& DepthStream::operator=(DepthStream&&) noexcept = default;

std::span<const std::uint16_t> DepthStream::z16(std::size_t frame) const {
  CUSP_CHECK(frame < size(), "a frame of the stream");
  return {frame_of(*file_, frame), pixels_of(scene_.calibration.depth)};
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
    auto file = MappedFile::open(path_of(frames));
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
  CUSP_ASSIGN(auto file, MappedFile::create(path_of(request.frames), bytes_in_all(header)));
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
          measure(ideal, frame, {frame_of(*file, frame), pixels});
        }
      });
  }
  CUSP_TRY(file->keep());
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
  std::unique_ptr<MappedFile> file;
  Header header{.frames = files.size()};
  for (std::size_t i = 0; i < files.size(); ++i) {
    CUSP_ASSIGN(const sim::GreyImage16 image, sim::read_png16(files[i]));
    if (i == 0) {
      const auto& [fx, fy, cx, cy] = recorded.optics_px;
      scene.calibration.depth = {image.width_px, image.height_px, fx, fy, cx, cy};
      header.pixels = image.pixels.size();
      file = MappedFile::in_memory(bytes_in_all(header));
      std::memcpy(file->bytes(), &header, sizeof(header));
    }
    if (image.width_px != scene.calibration.depth.width_px || image.pixels.size() != header.pixels)
      return error(ErrorCode::kInvalidArgument, "{}: {}x{}, the first picture has another size",
                   files[i].string(), image.width_px, image.height_px);
    std::ranges::copy(image.pixels, frame_of(*file, i));
  }
  return DepthStream(std::move(scene), {}, files.size(), std::move(file));
}

}  // namespace cusp::bench
