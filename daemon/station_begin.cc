#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/log_text.h"
#include "daemon/station.h"

// Station's part: how a scan begins, and how one that an earlier run left is taken up.

namespace cusp::daemon {
namespace {

// The longest in use: two pitches of three steps and a colour picture. A queue of twice as many
// pictures still holds a whole sequence after it had to drop its oldest ones.
constexpr std::size_t kPicturesASequence = 7;

}  // namespace

Result<std::string> Station::choose_device(const std::string& serial) const {
  std::vector<DeviceEntry> known;
  std::string problem;
  for (const DeviceEntry& entry : devices_->list()) {
    const bool unread = entry.info.serial.empty();  // it may be the one that is meant
    if (unread)
      problem = entry.status == DeviceStatus::kStarting
                    ? fmt::format("the device at {} is just starting; try again in a moment",
                                  entry.address.port_path)
                    : entry.problem;
    if (unread || (!serial.empty() && entry.info.serial != serial)) continue;
    if (entry.info.kind != DeviceKind::kPhoto) {
      known.push_back(entry);
    } else if (!serial.empty()) {
      return error(ErrorCode::kInvalidArgument, "device {}: a {} takes photos, it does not scan",
                   serial, entry.info.model);
    }
  }
  if (known.size() == 1) return known.front().info.serial;
  if (known.empty())
    return error(
        ErrorCode::kUnavailable, "{}{}{}",
        serial.empty() ? "no scanner is plugged in" : "device " + serial + ": not plugged in",
        problem.empty() ? "" : ": ", problem);
  std::string list;
  for (const DeviceEntry& entry : known) list += (list.empty() ? "" : ", ") + entry.info.serial;
  return error(ErrorCode::kInvalidArgument, "{} scanners are plugged in: say which: {}",
               known.size(), list);
}

Result<void> Station::ready_to_scan(const Work& work) {
  for (const auto& [id, other] : works_)
    if (&other != &work && other.session.state() == TicketState::kScanning)
      return error(ErrorCode::kConflict, "ticket {} is being scanned: pause or finish it first",
                   id);
  if (const auto held = files_.reserve(options_.reserve_bytes); !held.ok())
    return error(held.error().code, "no scan starts that could not be saved: {}",
                 held.error().message);
  return {};
}

Result<Journal> Station::finished_scan(const Work& work, ScanStage stage) const {
  const std::string& id = work.session.ticket().id;
  const auto& stages = work.session.stages();
  const auto progress = std::ranges::find(stages, stage, &StageProgress::stage);
  if (progress == stages.end())
    return error(ErrorCode::kNotFound, "ticket {}: it has no stage {} to go on from", id,
                 to_string(stage));
  if (progress->state != StageState::kDone && progress->state != StageState::kFailed)
    return error(ErrorCode::kConflict,
                 "ticket {}: stage {} is {}: only a finished one is gone on from", id,
                 to_string(stage), to_string(progress->state));
  const auto journals = stages_.journals(id);
  const auto entry = std::ranges::find(journals, stage, &StageStore::JournalEntry::stage);
  if (entry == journals.end())
    return error(ErrorCode::kNotFound,
                 "ticket {}: this station has the model of stage {}, but not its frames: scan from "
                 "nothing",
                 id, to_string(stage));
  CUSP_ASSIGN(Journal journal, read_journal_file(entry->path));
  if (journal.log.frames() == 0)
    return error(ErrorCode::kConflict, "ticket {}: the scan of stage {} holds no frame", id,
                 to_string(stage));
  return journal;
}

Result<void> Station::begin_scan(Work& work, ScanStage stage, const std::string& serial, From from,
                                 const Command& command) {
  const std::string id = work.session.ticket().id;
  CUSP_TRY(ready_to_scan(work));
  CUSP_ASSIGN(const std::string device, choose_device(serial));
  std::optional<Journal> earlier;
  if (from) {
    CUSP_ASSIGN(earlier, finished_scan(work, *from));
  }
  CUSP_TRY(apply(work, command));
  drop_scan(work);
  drop_processed(work, stage);

  DeviceProfile profile;
  bool takes_fringes = false;
  for (const DeviceEntry& entry : devices_->list())
    if (entry.info.serial == device) {
      profile = profile_for(entry.info, stage);
      takes_fringes = entry.info.kind == DeviceKind::kFringe;
      work.arrival = entry.arrival;
    }

  work.serial = device;
  work.started_at = to_rfc3339(seams_.clock.wall());
  work.awaits_device = false;
  free_devices(id);
  // A replay can't begin in the middle: what goes on from an earlier scan is not recorded.
  const std::shared_ptr<ScanRecording> recording =
      from ? nullptr : begin_recording(id, device, stage, profile);
  if (earlier) work.started_at = earlier->begin.started_at;
  ScanPlace place{.journal = {},
                  .problem = {},
                  .started_at = work.started_at,
                  .earlier = std::move(earlier),
                  .is_copy = from.has_value()};
  if (auto journal = stages_.new_journal(id, stage); journal.ok()) {
    place.journal = std::move(*journal);
  } else {
    place.problem = journal.error().message;
    warn(fmt::format("event=journal_failed ticket={} why={}", id, in_quotes(place.problem)));
  }
  make_scan(work, stage, profile, takes_fringes, std::move(place), recording);
  if (from) work.scan->resume();
  make_current(id);
  log(fmt::format("event=scan_started ticket={} stage={} device={}{}", id, to_string(stage), device,
                  from ? fmt::format(" from={}", to_string(*from)) : ""));
  return {};
}

void Station::make_scan(Work& work, ScanStage stage, const DeviceProfile& profile,
                        bool takes_fringes, ScanPlace place,
                        const std::shared_ptr<ScanRecording>& recording) {
  const std::string id = work.session.ticket().id;
  const std::size_t frame_queue = options_.frame_queue * (takes_fringes ? kPicturesASequence : 1);
  DeviceList::WrapCable wrap;
  if (recording != nullptr)
    wrap = [recording](std::unique_ptr<UsbTransport> cable, const DeviceAddress& address) {
      return recording->record(std::move(cable), address);
    };
  // The scan's own word comes from its threads, perhaps before the pointer to it is here.
  auto self = std::make_shared<std::weak_ptr<Scan>>();
  work.scan = std::make_shared<Scan>(
      profile, frame_queue, seams_.clock, std::move(place),
      [this, device = work.serial, user = fmt::format("ticket {}, stage {}", id, to_string(stage)),
       wrap](std::stop_token stop) { return devices_->open(device, user, std::move(stop), wrap); },
      [this, id, self](const Error& problem) {
        post([this, id, self, problem] { on_hold(id, *self, problem); });
      },
      [this, id, self](ButtonPress press) {
        post([this, id, self, press] { on_button(id, *self, press); });
      },
      recording);
  *self = work.scan;
}

// Null when scans are not recorded, or this one can't be: it is scanned all the same.
std::shared_ptr<ScanRecording> Station::begin_recording(const std::string& ticket_id,
                                                        const std::string& serial, ScanStage stage,
                                                        const DeviceProfile& profile) {
  if (recordings_ == nullptr) return nullptr;
  const std::string stage_name(to_string(stage));
  auto recording = recordings_->begin(serial, stage_name, seams_.clock.wall());
  if (!recording.ok()) {
    warn(fmt::format("event=recording_failed ticket={} why={}", ticket_id,
                     in_quotes(recording.error().message)));
    return nullptr;
  }
  log(fmt::format("event=recording_started ticket={} file={}", ticket_id,
                  in_quotes((*recording)->path().filename().string())));
  return std::make_shared<ScanRecording>(*recordings_, *recording,
                                         ScanNote{.software_version = origin_.software_version,
                                                  .stage = stage_name,
                                                  .width_px = profile.mode.width_px,
                                                  .height_px = profile.mode.height_px,
                                                  .rate_hz = profile.mode.rate_hz,
                                                  .reconstruction = profile.reconstruction,
                                                  .finish = options_.model.finish});
}

DeviceProfile Station::profile_for(const DeviceInfo& device, ScanStage stage) const {
  std::vector<std::string> names{device.model, device.driver, "default"};
  if (kind_of(stage) == TicketKind::kFace)
    names.insert(names.begin(), {device.model + " face", device.driver + " face", "face"});
  for (const std::string& name : names)
    if (const auto own = options_.profiles.find(name); own != options_.profiles.end())
      return own->second;
  return {};
}

void Station::take_up_scans(Work& work) {
  const std::string id = work.session.ticket().id;
  std::vector<std::pair<ScanStage, ScanPlace>> found;
  for (const StageStore::JournalEntry& entry : stages_.journals(id)) {
    const auto& stages = work.session.ticket().stages;
    if (std::ranges::find(stages, entry.stage) == stages.end() ||
        work.session.stage_state(entry.stage) == StageState::kDone)
      continue;
    auto journal = read_journal_file(entry.path);
    if (!journal.ok())
      warn(fmt::format("event=journal_not_whole ticket={} why={}", id,
                       in_quotes(journal.error().message)));
    else if (journal->log.frames() > 0)
      found.emplace_back(entry.stage, ScanPlace{.journal = entry.path,
                                                .problem = {},
                                                .started_at = journal->begin.started_at,
                                                .earlier = std::move(*journal),
                                                .is_copy = false});
  }
  if (found.empty()) return;
  // The last one was being scanned; of those before it, or of a ticket that was being processed in
  // vain, the models are missing.
  std::optional<ScanStage> interrupted;
  if (work.session.state() == TicketState::kInterrupted) interrupted = found.back().first;
  std::vector<ScanStage> unmade;
  for (const auto& [stage, place] : found)
    if (stage != interrupted) unmade.push_back(stage);
  work.session.stopped(interrupted, unmade);
  for (auto& [stage, place] : found) {
    const JournalBegin& begin = place.earlier->begin;
    work.serial = begin.device_serial;
    work.started_at = begin.started_at;
    log(fmt::format("event=scan_taken_up ticket={} stage={} frames={}", id, to_string(stage),
                    place.earlier->log.frames()));
    DeviceInfo device;
    device.driver = begin.device_driver;
    device.model = begin.device_model;
    const bool takes_fringes = begin.calibration.fringe.has_value();
    make_scan(work, stage, profile_for(device, stage), takes_fringes, std::move(place), nullptr);
    if (stage == interrupted) break;
    work.scan->request_end();
    work.processed[stage] = {.scan = std::move(work.scan), .started_at = work.started_at};
  }
}

}  // namespace cusp::daemon
