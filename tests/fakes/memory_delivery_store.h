// An DeliveryStore in memory with the rules of the real one: both keys unique, nothing overwritten.
// It outlives the gates of a test as a database outlives a process. Threads: any.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "delivery/store_gate.h"

namespace cusp::fakes {

class MemoryDeliveryStore final : public delivery::DeliveryStore {
 public:
  struct Stored {
    delivery::Parcel parcel;
    std::vector<std::uint8_t> envelope;
    delivery::Receipt receipt;
  };

  std::string store_epoch() override {
    const std::lock_guard lock(mutex_);
    return epoch_;
  }
  void set_store_epoch(std::string epoch) {
    const std::lock_guard lock(mutex_);
    epoch_ = std::move(epoch);
  }

  Result<std::optional<delivery::Receipt>> find_receipt(const std::string& station_id,
                                                        const std::string& outbox_epoch,
                                                        std::uint64_t outbox_seq) override {
    const std::lock_guard lock(mutex_);
    const auto found = by_outbox_.find({station_id, outbox_epoch, outbox_seq});
    if (found == by_outbox_.end()) return std::optional<delivery::Receipt>{};
    return std::optional(stored_[found->second].receipt);
  }

  Result<void> renew_epoch(const std::string& evidence) override {
    const std::lock_guard lock(mutex_);
    epoch_ += "-renewed";
    evidence_.push_back(evidence);
    return {};
  }
  std::vector<std::string> evidence() {
    const std::lock_guard lock(mutex_);
    return evidence_;
  }
  // As if an older copy of the store's data were put in place, by hand.
  void forget_after(std::size_t kept) {
    const std::lock_guard lock(mutex_);
    stored_.resize(kept);
    const auto gone = [&](const auto& entry) { return entry.second >= kept; };
    std::erase_if(by_ticket_, gone);
    std::erase_if(by_outbox_, gone);
  }

  Result<std::optional<delivery::Receipt>> find_delivery(const std::string& station_id,
                                                         const std::string& outbox_epoch,
                                                         const std::string& ticket_id,
                                                         unsigned revision) override {
    const std::lock_guard lock(mutex_);
    const auto found = by_ticket_.find({station_id, outbox_epoch, ticket_id, revision});
    if (found == by_ticket_.end()) return std::optional<delivery::Receipt>{};
    return std::optional(stored_[found->second].receipt);
  }

  Result<delivery::Receipt> commit(const delivery::Parcel& parcel,
                                   const std::vector<std::uint8_t>& envelope,
                                   const std::string& envelope_sha256) override {
    std::optional<Error> failure;
    std::function<void()> after;
    {
      const std::lock_guard lock(mutex_);
      ++commit_calls_;
      failure = std::exchange(next_failure_, std::nullopt);
      after = after_commit_;
    }
    if (failure) return *failure;
    auto receipt = insert(parcel, envelope, envelope_sha256);
    if (after) after();
    return receipt;
  }

  Result<void> mark_damaged(const std::string& sha256, bool damaged) override {
    const std::lock_guard lock(mutex_);
    if (damaged)
      damaged_.insert(sha256);
    else
      damaged_.erase(sha256);
    return {};
  }
  std::set<std::string> damaged() {
    const std::lock_guard lock(mutex_);
    return damaged_;
  }
  Result<std::vector<std::uint64_t>> damaged_deliveries(const std::string& station_id,
                                                        const std::string& outbox_epoch) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> seqs;
    for (const auto& [key, index] : by_outbox_) {
      if (std::get<0>(key) != station_id || std::get<1>(key) != outbox_epoch) continue;
      for (const auto& blob : stored_[index].parcel.all_blobs())
        if (damaged_.contains(blob.sha256)) {
          seqs.push_back(std::get<2>(key));
          break;
        }
    }
    return seqs;
  }
  Result<std::optional<std::vector<delivery::BlobRef>>> files_of(
      const std::string& station_id, const std::string& outbox_epoch,
      std::uint64_t outbox_seq) override {
    const std::lock_guard lock(mutex_);
    const auto found = by_outbox_.find({station_id, outbox_epoch, outbox_seq});
    if (found == by_outbox_.end()) return std::optional<std::vector<delivery::BlobRef>>{};
    return std::optional(stored_[found->second].parcel.all_blobs());
  }

  Result<std::vector<delivery::WorklistChange>> worklist_since(std::uint64_t seq,
                                                               std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<delivery::WorklistChange> found;
    for (const auto& change : changes_)
      if (change.seq > seq && found.size() < limit) found.push_back(change);
    return found;
  }

  Result<std::optional<delivery::Hold>> report_state(const std::string&,
                                                     const std::string& ticket_id,
                                                     TicketState state, bool take_over) override {
    const std::lock_guard lock(mutex_);
    states_[ticket_id] = state;
    ++reports_;
    if (take_over) holds_.erase(ticket_id);
    const auto held = holds_.find(ticket_id);
    if (!is_work(state) || held == holds_.end()) return std::optional<delivery::Hold>{};
    return std::optional(held->second);
  }
  void hold(const std::string& ticket_id, const delivery::Hold& hold) {
    const std::lock_guard lock(mutex_);
    holds_[ticket_id] = hold;
  }

  Result<std::vector<delivery::FeedEntry>> feed_since(std::uint64_t seq,
                                                      std::size_t limit) override {
    const std::lock_guard lock(mutex_);
    std::vector<delivery::FeedEntry> found;
    for (std::size_t i = seq; i < stored_.size() && found.size() < limit; ++i)
      found.push_back({i + 1, fmt::format("record-{}", i + 1), stored_[i].receipt.committed_at,
                       stored_[i].envelope, stored_[i].receipt.envelope_sha256});
    return found;
  }

  Result<std::uint64_t> last_seq() override {
    const std::lock_guard lock(mutex_);
    return std::uint64_t{stored_.size()};
  }

  Result<std::optional<std::uint64_t>> file_size(const std::string& sha256) override {
    const std::lock_guard lock(mutex_);
    for (const Stored& stored : stored_)
      for (const delivery::BlobRef& blob : stored.parcel.all_blobs())
        if (blob.sha256 == sha256) return std::optional(blob.size_bytes);
    return std::optional<std::uint64_t>{};
  }

  void change_worklist(const ScanTicket& ticket, bool open,
                       std::optional<delivery::Hold> hold = std::nullopt) {
    const std::lock_guard lock(mutex_);
    changes_.push_back({changes_.size() + 1, ticket, open, std::move(hold)});
  }
  void fail_next_commit(Error failure) {
    const std::lock_guard lock(mutex_);
    next_failure_ = std::move(failure);
  }
  // Runs on the gate's thread between the commit and its receipt.
  void after_commit(std::function<void()> callback) {
    const std::lock_guard lock(mutex_);
    after_commit_ = std::move(callback);
  }
  std::vector<Stored> stored() {
    const std::lock_guard lock(mutex_);
    return stored_;
  }
  std::size_t stored_count() {
    const std::lock_guard lock(mutex_);
    return stored_.size();
  }
  int commit_calls() {
    const std::lock_guard lock(mutex_);
    return commit_calls_;
  }
  int reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  std::optional<TicketState> reported_state(const std::string& ticket_id) {
    const std::lock_guard lock(mutex_);
    const auto found = states_.find(ticket_id);
    if (found == states_.end()) return std::nullopt;
    return found->second;
  }

 private:
  Result<delivery::Receipt> insert(const delivery::Parcel& parcel,
                                   const std::vector<std::uint8_t>& envelope,
                                   const std::string& envelope_sha256) {
    const std::lock_guard lock(mutex_);
    const auto ticket =
        std::tuple(parcel.station_id, parcel.outbox_epoch, parcel.ticket_id, parcel.revision);
    if (by_ticket_.contains(ticket)) {
      const Stored& known = stored_[by_ticket_[ticket]];
      if (known.receipt.envelope_sha256 == envelope_sha256) return known.receipt;
      return error(ErrorCode::kConflict, "ticket {} revision {} is there with other content",
                   parcel.ticket_id, parcel.revision);
    }
    delivery::Receipt receipt{parcel.ticket_id,           parcel.revision,
                              stored_.size() + 1,         envelope_sha256,
                              "2026-01-31T09:15:00.000Z", ""};
    by_ticket_[ticket] = stored_.size();
    by_outbox_[{parcel.station_id, parcel.outbox_epoch, parcel.outbox_seq}] = stored_.size();
    stored_.push_back({parcel, envelope, receipt});
    return receipt;
  }

  std::mutex mutex_;
  std::string epoch_ = "first-epoch";
  std::vector<std::string> evidence_;
  std::map<std::string, delivery::Hold> holds_;
  std::set<std::string> damaged_;
  std::vector<Stored> stored_;
  std::map<std::tuple<std::string, std::string, std::string, unsigned>, std::size_t> by_ticket_;
  std::map<std::tuple<std::string, std::string, std::uint64_t>, std::size_t> by_outbox_;
  std::vector<delivery::WorklistChange> changes_;
  std::map<std::string, TicketState> states_;
  std::optional<Error> next_failure_;
  std::function<void()> after_commit_;
  int commit_calls_ = 0;
  int reports_ = 0;
};

}  // namespace cusp::fakes
