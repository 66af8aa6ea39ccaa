// Private to delivery: one station's conversation with the store, from its HELLO on (PROTOCOL.md
// says the rules). A pure receiver of messages: sockets, identity and the session's number are the
// gate's business.
//
// A message that breaks the rules ends the session: handle() answers why, and the station starts
// anew from what is durable. Nothing that a station sends can touch another station's files: the
// folder of its parts is named by the gate, the files by hashes that were checked. Threads: the
// gate's.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "delivery/cas.h"
#include "delivery/door_internal.h"
#include "delivery/part_file.h"
#include "delivery/store_gate.h"
#include "delivery/wire.h"

namespace cusp::sxp {
class LastReceipt;
}

namespace cusp::delivery {

// The transfers that run now, over all sessions.
struct GateLoad {
  std::size_t transfers = 0;
  std::uint64_t outstanding_bytes = 0;  // that they may still write
  MonoTime epoch_may_change_after{};    // the store lost deliveries; found out so long ago
};

// What the gate lends to its sessions; outlives them.
struct GateContext {
  const StoreGateOptions& options;
  DeliveryStore& store;
  FileSystem& files;
  const Clock& clock;
  GateCounts& counts;
  GateLoad& load;
};

// The answer to HELLO, alike for stations and subscribers.
Message welcome_of(const GateContext& context);

// Of a station, across its sessions: files of its last offer that it brought in full and whose
// hash was checked; they lie in its part/ folder or in the CAS already. An offer that comes again
// costs neither a second transfer nor a second look at their bytes.
using CheckedFiles = std::set<std::string>;

class StoreSession final : public PeerSession {
 public:
  StoreSession(const GateContext& context, std::string station_id, CheckedFiles& checked,
               Door::Send send);
  ~StoreSession() override;
  StoreSession(const StoreSession&) = delete;
  StoreSession& operator=(const StoreSession&) = delete;

  Result<void> handle(const Message& message) override;
  void changed() override;
  bool work() override;

 private:
  struct Transfer;
  struct Failure {
    RejectCode code;
    std::uint32_t retry_after_ms;
    std::string text;
  };

  Result<void> on_hello(const Message& message);
  Result<void> check_memory(const sxp::LastReceipt& last);
  Result<void> on_offer(const Message& message);
  Result<void> on_chunk(const Message& message);
  Result<void> on_worklist(const Message& message);
  Result<void> on_states(const Message& message);
  Result<void> on_verify(const Message& message);
  void end_verifying(bool whole);
  void send_recall();

  // Answered before (receipt or conflict): true. Files of it that the store lost make it a repair.
  bool answer_repeat(const Message& offer, Transfer& transfer);
  std::optional<Failure> check_parcel(const Message& offer, const Parcel& parcel) const;
  std::optional<Failure> start_transfer(Transfer& transfer);
  std::optional<Failure> open_part(Transfer& transfer);
  std::optional<Failure> take_chunk(Transfer& transfer, const Message& chunk);
  std::optional<Failure> finish_part(Transfer& transfer);
  Result<Receipt> commit(const Transfer& transfer);
  Result<Receipt> mend(const Transfer& transfer);
  // All files are here and checked: moves them to the CAS and commits.
  std::optional<Failure> finish_transfer(Transfer& transfer);
  [[nodiscard]] bool is_here(const BlobRef& file) const;
  [[nodiscard]] Failure down(const Error& failed) const;
  [[nodiscard]] std::uint32_t retry_after_ms() const;
  Result<void> drop_other_parts(const Transfer& transfer);
  void end_transfer();

  void reply(const Message& to, Message message);
  void reject(std::uint64_t request, std::uint64_t seq, const Failure& failure);
  void send_tickets();
  [[nodiscard]] std::filesystem::path part_path(const std::string& sha256) const;

  GateContext context_;
  const std::string station_id_;
  CheckedFiles& checked_;
  const Door::Send send_;
  std::string outbox_epoch_;
  std::unique_ptr<Transfer> transfer_;
  std::uint64_t ended_request_ = 0;  // chunks of offers up to this one may still be on their way
  struct WaitingWorklist {
    std::uint64_t request;
    std::uint64_t since;
  };
  std::optional<WaitingWorklist> waiting_;
  struct Verifying {
    std::uint64_t request = 0;
    std::uint64_t seq = 0;
    std::vector<BlobRef> files;
    std::size_t next = 0;
    std::optional<FileCheck> check;  // of files[next]
    bool whole = true;
  };
  std::optional<Verifying> verifying_;
  bool may_recall_ = false;           // the station knows the message
  std::set<std::uint64_t> recalled_;  // in this session
};

}  // namespace cusp::delivery
