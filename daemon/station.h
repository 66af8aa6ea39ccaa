// Station: the only wiring of cuspd. It joins devices, worklist, sessions, scans, finishing, outbox
// and the link to the store, and is what the control API commands.
//
// A command is checked and made durable in the worklist before anything is done about it; long work
// (closing a device, meshing, committing) goes to the finish thread and comes back through `post`.
// One stage is scanned at a time on a station; other tickets may be paused or processed meanwhile.
// One photo is taken at a time, on a thread of its own, whatever is scanned.
// Errors: as Result says; nothing changed then. Threads: every verb on the thread that runs what
// `post` is given.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/file_system.h"
#include "core/reserving_file_system.h"
#include "daemon/device_list.h"
#include "daemon/finishing.h"
#include "daemon/options.h"
#include "daemon/scan.h"
#include "daemon/session.h"
#include "daemon/stage_store.h"
#include "daemon/worker.h"
#include "delivery/outbox.h"
#include "delivery/station_link.h"
#include "delivery/worklist.h"
#include "drivers/usb/usb_bus.h"
#include "pipeline/photo.h"

namespace cusp::daemon {

// What the station stands on; all must outlive it.
struct Seams {
  UsbBus& bus;
  FileSystem& files;
  const Clock& clock;
  // Runs the function later on the station's thread; callable from any thread; ignored once that
  // thread is gone.
  std::function<void(std::function<void()>)> post;
  // One line of the log: "event=scan_started ticket=... stage=upper". Never holds a patient's name.
  // Station's thread.
  std::function<void(bool is_warning, const std::string& line)> journal;
};

// A finished stage's files, still on this station or as delivered.
struct ModelEntry {
  std::string ticket_id;
  unsigned revision = 1;
  delivery::StageStatement statement;
  std::vector<std::filesystem::path> paths;  // of statement.blobs
  bool saved = false;                        // in the outbox
};

class Station {
 public:
  static Result<std::unique_ptr<Station>> start(Options options, Origin origin, Seams seams);
  // Ends the scan, lets models that are being made be saved, stops the link: in reverse order of
  // start.
  ~Station();
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;

  // Tickets. make_ticket() fills id, revision and missing stages in.
  Result<ScanTicket> make_ticket(ScanTicket ticket);
  // kConflict: another station works on it, unless `insist`.
  Result<void> claim(const std::string& ticket_id, bool insist);
  Result<void> release(const std::string& ticket_id);
  // Throws away what was scanned; a redo of a saved ticket goes back to the revision before.
  Result<void> cancel(const std::string& ticket_id);

  // Scanning. An empty ticket id means the ticket that is worked on; an empty serial the only
  // device. With `from` the scan begins with all that the finished scan of that stage holds: the
  // same stage, to go on with it, or another one, to change a copy of it.
  using From = std::optional<ScanStage>;
  Result<void> start_scan(const std::string& ticket_id, ScanStage stage, const std::string& serial,
                          From from = {});
  Result<void> redo(const std::string& ticket_id, ScanStage stage, const std::string& serial,
                    From from = {});
  Result<void> pause(const std::string& ticket_id);
  Result<void> resume(const std::string& ticket_id);
  Result<void> finish_stage(const std::string& ticket_id);
  // What the operator does to the model that is being scanned: takes the last seconds back, or
  // cuts, locks, unlocks. `done` is called once, on the station's thread: at once when it is
  // refused, else when it is done; never after the end of the station.
  void undo(const std::string& ticket_id, std::chrono::nanoseconds span,
            std::function<void(Result<void>)> done);
  void edit(const std::string& ticket_id, ScanEntry edit, std::function<void(Result<void>)> done);
  // What a viewer of the live mesh of the current scan lacks (pipeline/mesh_update.h). `done` as of
  // edit().
  using MeshUpdated = std::function<void(Result<std::vector<std::uint8_t>>)>;
  void mesh_update(std::uint64_t mesh_id, std::uint32_t since, MeshUpdated done);
  // Its model is not made any further; the stage has failed, and can be retried or discarded.
  Result<void> abort(const std::string& ticket_id, ScanStage stage);
  Result<void> retry(const std::string& ticket_id, ScanStage stage);
  Result<void> discard(const std::string& ticket_id, ScanStage stage);
  Result<void> finish(const std::string& ticket_id);

  // A camera's photo, of no ticket; it is kept nowhere. `done` is called once, on the station's
  // thread: at once when it is refused, else when the camera is closed again; never after the end
  // of the station.
  void take_photo(const std::string& serial, std::function<void(Result<Photo>)> done);

  // A parked parcel, whose cause was mended, is sent again.
  Result<void> release_parcel(std::uint64_t seq);

  // What there is.
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const std::string& software_version() const { return origin_.software_version; }
  [[nodiscard]] WallTime now() const { return seams_.clock.wall(); }
  [[nodiscard]] std::vector<DeviceEntry> devices() const { return devices_->list(); }
  [[nodiscard]] std::vector<delivery::WorklistItem> tickets() { return worklist_->list(); }
  [[nodiscard]] Result<delivery::WorklistItem> ticket(const std::string& ticket_id);
  [[nodiscard]] const std::vector<delivery::OutboxEntry>& outbox() const { return outbox_view_; }
  [[nodiscard]] delivery::LinkStatus link() const { return link_->status(); }
  // Of one ticket, or of all that still have files here.
  [[nodiscard]] Result<std::vector<ModelEntry>> models(const std::string& ticket_id);
  // Of scans, oldest first.
  [[nodiscard]] std::vector<recording::RecordingEntry> recordings() const;
  // What the operator should know of the last thing that happened and see nowhere else: a button
  // that was refused, a device whose button is not heard. Empty after the next command.
  [[nodiscard]] const std::string& notice() const { return notice_; }
  // The ticket that is worked on, with its live scan.
  [[nodiscard]] const Session* session() const;
  // How much of the making of its stage's model is done, 0..1.
  [[nodiscard]] double processed_share(ScanStage stage) const;
  [[nodiscard]] std::optional<ScanStatus> scan() const;
  // False: the watchdog should not be fed any more.
  [[nodiscard]] bool healthy() const;

 private:
  // A stage whose model is being made, or could not be.
  struct Processed {
    std::shared_ptr<Scan> scan;
    std::string started_at;
    std::stop_source stop{};
    std::shared_ptr<std::atomic<double>> share = std::make_shared<std::atomic<double>>(0.0);
  };
  struct Work {
    explicit Work(Session s) : session(std::move(s)) {}
    Session session;
    std::shared_ptr<Scan> scan;  // of the current stage
    std::string serial;          // its device,
    std::uint64_t arrival = 0;   // as it was plugged in then
    std::string started_at;
    bool awaits_device = false;                // goes on when it is plugged in again
    std::map<ScanStage, Processed> processed;  // kept until their model is durable
    bool saving = false;
  };
  using Command = std::function<Result<void>(Session&)>;

  Station(Options options, Origin origin, Seams seams);
  Result<void> open();
  [[nodiscard]] Result<void> check_hold(const delivery::WorklistItem& item) const;
  Result<void> recover();
  Result<void> recover(const delivery::WorklistItem& item);
  void restore_earlier_stages(const ScanTicket& ticket);
  void reconcile();

  Result<Work*> work(const std::string& ticket_id);
  Result<Session> session_of(const delivery::WorklistItem& item);
  Result<void> apply(Work& work, const Command& command);
  void note(Work& work, const Command& event);
  Result<void> return_to_earlier_revision(const ScanTicket& ticket);
  Result<std::string> choose_device(const std::string& serial) const;
  Result<void> ready_to_scan(const Work& work);
  Result<void> ready_for_photo(const std::string& serial) const;
  Result<void> begin_scan(Work& work, ScanStage stage, const std::string& serial, From from,
                          const Command& command);
  Result<Journal> finished_scan(const Work& work, ScanStage stage) const;
  [[nodiscard]] DeviceProfile profile_for(const DeviceInfo& device, ScanStage stage) const;
  void make_scan(Work& work, ScanStage stage, const DeviceProfile& profile, bool takes_fringes,
                 ScanPlace place, const std::shared_ptr<ScanRecording>& recording);
  // After a restart: the scans whose journals are here.
  void take_up_scans(Work& work);
  std::shared_ptr<ScanRecording> begin_recording(const std::string& ticket_id,
                                                 const std::string& serial, ScanStage stage,
                                                 const DeviceProfile& profile);
  void edit_scan(const std::string& ticket_id, Scan::Edit edit, std::string_view what,
                 std::function<void(Result<void>)> done);
  void drop_scan(Work& work);
  void drop_processed(Work& work, ScanStage stage);
  // On the finish thread, of a stage that was thrown away or replaced.
  void remove_recording(const FinishedStage& stage);
  void process(Work& work, ScanStage stage);
  void save_when_complete(Work& work);
  void on_hold(const std::string& ticket_id, const std::weak_ptr<Scan>& scan, const Error& problem);
  void free_devices(const std::string& ticket_id);
  void on_button(const std::string& ticket_id, const std::weak_ptr<Scan>& scan, ButtonPress press);
  Result<void> finish_and_start_next(const std::string& ticket_id, const Work& work);
  void make_current(const std::string& ticket_id);
  void go_on_if_device_is_back();
  void on_stage_finished(const std::string& ticket_id, ScanStage stage,
                         const std::weak_ptr<Scan>& scan, const Result<FinishedStage>& result,
                         const std::string& recording_problem);
  void on_saved(const std::string& ticket_id, const Result<Committed>& result);
  // Posts to this station unless it is gone by then.
  void post(std::function<void()> call);
  void log(const std::string& line) const { seams_.journal(false, line); }
  void warn(const std::string& line) const { seams_.journal(true, line); }

  const Options options_;
  const Origin origin_;
  const Seams seams_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  const std::weak_ptr<bool> watch_ = alive_;

  std::unique_ptr<delivery::Worklist> worklist_;
  std::unique_ptr<delivery::Outbox> outbox_;
  std::vector<delivery::OutboxEntry> outbox_view_;          // as of the last change
  std::map<std::uint64_t, delivery::OutboxState> settled_;  // by seq: what the worklist knows
  std::atomic<bool> reconcile_queued_{false};
  ReservingFileSystem files_;
  StageStore stages_;
  std::unique_ptr<recording::Recordings> recordings_;  // null: scans are not recorded
  std::map<std::string, Work> works_;
  std::string current_ticket_;
  std::string notice_;
  bool taking_photo_ = false;

  // Stopped in reverse order: devices outlive scans, link and outbox outlive the finish thread.
  std::unique_ptr<delivery::StationLink> link_;
  std::jthread link_thread_;
  std::unique_ptr<DeviceList> devices_;
  std::unique_ptr<Worker> finisher_;
  std::jthread photographer_;  // of the last photo
};

}  // namespace cusp::daemon
