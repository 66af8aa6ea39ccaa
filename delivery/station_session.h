// Private to delivery: the station's side of one session: HELLO, the worklist, the reports of
// states, and the outbox sent entry by entry. Knows nothing of sockets: it is given messages and
// the time, and answers what to send. When something is doubtful it is over(), and the link starts
// another. Threads: the link's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delivery/station_link.h"
#include "delivery/wire.h"

namespace cusp::delivery {

// What outlives a session, kept by the link.
struct LinkMemory {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_resent = 0;
  std::uint64_t receipts = 0;
  std::string complaint;  // the last tickets from the store held one that could not be used
  // How far each file of the entries under way was sent before: what is sent again is counted.
  std::map<std::string, std::uint64_t> sent_up_to;
  std::map<std::uint64_t, int> damaged_arrivals;  // by seq
  std::uint64_t last_request = 0;
  // Newest and oldest take turns: what was finished just now does not wait for a backlog of days.
  bool oldest_next = false;
};

// Brings the worklist up to what the outbox knows: a receipt may come before the worklist says
// "ready", and a process may end between the two notes.
void settle_receipts(Outbox& outbox, Worklist& worklist);

class StationSession {
 public:
  // False: the connection is gone. What is under way is bounded by credit, not by the socket.
  using Send = std::function<bool(Message)>;

  StationSession(const StationLinkOptions& options, Outbox& outbox, Worklist& worklist,
                 const Clock& clock, LinkMemory& memory, Send send, std::function<void()> changed);
  ~StationSession();
  StationSession(const StationSession&) = delete;
  StationSession& operator=(const StationSession&) = delete;

  void start();
  void handle(const Message& message);
  // Deadlines, heartbeats and whatever can be sent now.
  void tick();
  // The outbox or the worklist has something new.
  void look() { look_ = true; }

  [[nodiscard]] bool welcomed() const { return welcomed_; }
  // tick() is wanted at this time at the latest.
  [[nodiscard]] MonoTime next_tick() const;
  // Why the session ended, a sentence; nothing while it lives.
  [[nodiscard]] const std::optional<std::string>& over() const { return over_; }
  // The store refuses this station: trying again soon is of no use.
  [[nodiscard]] bool refused() const { return refused_; }
  // Called once after it is over: the entry under way waits for the next session.
  void release(const std::string& reason);

 private:
  struct Outgoing;
  struct Reported {
    std::uint64_t request;
    std::map<std::string, TicketState> states;
  };

  void on_welcome(const Message& message);
  void on_want(const Message& message);
  void on_credit(const Message& message);
  void on_committed(const Message& message);
  void on_reject(const Message& message);
  void on_offer_rejected(RejectCode code, std::uint32_t retry_after_ms, const std::string& text);
  void on_tickets(const Message& message);

  void on_attest(const Message& message);
  void on_recall(const Message& message);

  void ask_worklist();
  void on_noted(const Message& message);
  void report_states();
  void offer_next();
  // Files of old deliveries go once the store attested its own.
  void verify_next();
  void send_chunks();
  void note_progress(const std::string& sha256, std::uint64_t durable_offset);
  // Tells the worklist, when it knows the ticket and the event is possible.
  void advance(const OutboxEntry& entry, TicketEvent event);
  void put_back(const std::string& because, bool parked);
  void park_if_damaged(const std::string& text);
  bool answers_offer(const Message& message) const;
  std::uint64_t send(Message message);
  void end(std::string reason);
  [[nodiscard]] MonoTime now() const { return clock_.mono(); }

  const StationLinkOptions& options_;
  Outbox& outbox_;
  Worklist& worklist_;
  const Clock& clock_;
  LinkMemory& memory_;
  const Send send_;
  const std::function<void()> changed_;
  const std::uint64_t number_;

  bool welcomed_ = false;
  bool look_ = true;
  bool refused_ = false;
  std::optional<std::string> over_;
  std::uint32_t max_chunk_bytes_ = 0;
  MonoTime last_heard_;
  MonoTime last_ping_;
  std::optional<MonoTime> hold_until_;    // offers wait, the store asked for it
  std::optional<MonoTime> ask_again_;     // a WORKLIST that was rejected
  std::optional<MonoTime> report_again_;  // STATES that were rejected
  std::optional<MonoTime> verify_again_;  // a VERIFY that was rejected
  std::unique_ptr<Outgoing> outgoing_;
  bool store_verifies_ = false;  // it knows the message
  struct Verifying {
    std::uint64_t request;
    std::uint64_t seq;
  };
  std::optional<Verifying> verifying_;
  std::uint64_t worklist_request_ = 0;
  std::uint64_t since_ = 0;
  std::optional<Reported> reported_;  // waits for NOTED
  struct Note {
    TicketState state;
    MonoTime at;
  };
  std::map<std::string, Note> noted_;
};

}  // namespace cusp::delivery
