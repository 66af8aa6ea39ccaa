#include "records/upkeep.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "delivery/cas.h"

namespace cusp::records {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookForBackup = 60s;
constexpr auto kAfterProblem = 15min;
constexpr auto kLongestPause = 60min;  // between two files of a small store

}  // namespace

Upkeep::Upkeep(UpkeepOptions options, RecordsStore& store, FileSystem& files, const Clock& clock,
               Listener listener)
    : options_(std::move(options)),
      store_(store),
      files_(files),
      clock_(clock),
      listener_(std::move(listener)) {}

void Upkeep::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Result<void> Upkeep::back_up_now() {
  if (options_.backup_folder.empty())
    return error(ErrorCode::kUnsupported, "no folder for backups is configured");
  const std::lock_guard lock(mutex_);
  backup_wanted_ = true;
  wake_.notify_all();
  return {};
}

UpkeepStatus Upkeep::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Upkeep::run(const std::stop_token& stop) {
  stop_ = stop;
  const auto now = [] { return std::chrono::steady_clock::now(); };
  auto scrub_at = now() + kLookForBackup;  // a store that starts has other things to do
  std::optional<WallTime> backup_at;
  if (!options_.backup_folder.empty()) {
    const auto all = snapshots(files_, options_.backup_folder);
    const auto last = all.ok() && !all->empty() ? snapshot_time(all->back()) : std::nullopt;
    backup_at = last ? next_backup(*last, options_.backup_hour) : clock_.wall();
    const std::lock_guard lock(mutex_);
    if (last) status_.last_backup_at = to_rfc3339(*last);
  }
  while (!stop.stop_requested()) {
    bool wanted = false;
    {
      std::unique_lock lock(mutex_);
      const auto until = options_.scrub_days > 0 ? std::min(scrub_at, now() + kLookForBackup)
                                                 : now() + kLookForBackup;
      wake_.wait_until(lock, stop, until, [this] { return backup_wanted_; });
      wanted = std::exchange(backup_wanted_, false);
    }
    if (stop.stop_requested()) return;
    if (wanted || (backup_at && clock_.wall() >= *backup_at)) {
      const auto done = back_up();
      backup_at = done.ok() ? next_backup(clock_.wall(), options_.backup_hour)
                            : clock_.wall() + kAfterProblem;
    }
    if (options_.scrub_days > 0 && now() >= scrub_at)
      scrub_at = now() + (scrub_next().ok() ? pause_after_file() : kAfterProblem);
  }
}

Result<void> Upkeep::back_up() {
  const auto report =
      records::back_up(store_, files_, clock_, options_.data_folder, options_.backup_folder, stop_);
  {
    const std::lock_guard lock(mutex_);
    if (report.ok()) {
      status_.last_backup = *report;
      status_.last_backup_at = to_rfc3339(clock_.wall());
    }
  }
  if (report.ok()) {
    tell(Event::kBackedUp, report->snapshot);
    return {};
  }
  if (report.error().code != ErrorCode::kCancelled)
    tell(Event::kProblem, "backup: " + report.error().message);
  return report.error();
}

Result<void> Upkeep::scrub_next() {
  const auto scrubbed = [&]() -> Result<void> {
    CUSP_ASSIGN(const std::string place, store_.scrub_place());
    CUSP_ASSIGN(auto blob, store_.next_file(place));
    if (!blob) {  // around, or there is none
      CUSP_ASSIGN(blob, store_.next_file(""));
    }
    if (!blob) return {};
    delivery::FileCheck check(options_.data_folder, *blob);
    auto verdict = delivery::FileCheck::Verdict::kGoesOn;
    while (verdict == delivery::FileCheck::Verdict::kGoesOn) {
      if (stop_.stop_requested()) return {};
      CUSP_ASSIGN(verdict, check.step());
    }
    if (verdict == delivery::FileCheck::Verdict::kDamaged) {
      CUSP_TRY(delivery::set_aside(files_, options_.data_folder, blob->sha256));
      CUSP_TRY(store_.mark_damaged(blob->sha256, true));
      tell(Event::kFileDamaged, blob->sha256);
    }
    CUSP_TRY(store_.set_scrub_place(blob->sha256));
    const std::lock_guard lock(mutex_);
    ++status_.files_read;
    last_file_bytes_ = blob->size_bytes;
    return {};
  }();
  if (!scrubbed.ok()) tell(Event::kProblem, "scrub: " + scrubbed.error().message);
  return scrubbed;
}

// So that a round takes scrub_days, by bytes: large files are read as seldom as small ones.
std::chrono::milliseconds Upkeep::pause_after_file() const {
  const auto counts = store_.counts();
  if (!counts.ok() || counts->file_bytes == 0) return kLongestPause;
  const double round_ms =
      static_cast<double>(std::chrono::milliseconds(24h * options_.scrub_days).count());
  const double share =
      static_cast<double>(last_file_bytes_) / static_cast<double>(counts->file_bytes);
  return std::min<std::chrono::milliseconds>(
      std::chrono::milliseconds(static_cast<std::int64_t>(round_ms * share)), kLongestPause);
}

WallTime Upkeep::next_backup(WallTime last, int hour) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(last);
  std::tm local{};
  localtime_r(&seconds, &local);
  local.tm_hour = hour;
  local.tm_min = local.tm_sec = 0;
  local.tm_isdst = -1;
  std::time_t next = std::mktime(&local);
  if (next <= seconds) {
    ++local.tm_mday;
    local.tm_isdst = -1;
    next = std::mktime(&local);
  }
  return std::chrono::system_clock::from_time_t(next);
}

void Upkeep::tell(Event event, const std::string& detail) {
  {
    const std::lock_guard lock(mutex_);
    if (event == Event::kFileDamaged) ++status_.files_damaged;
    if (event == Event::kBackedUp) status_.problem.clear();
    if (event == Event::kProblem) status_.problem = detail;
  }
  if (listener_) listener_(event, detail);
}

}  // namespace cusp::records
