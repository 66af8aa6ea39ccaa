// Private to delivery: a subscriber's conversation with the store. It keeps no queue and no place
// in the feed: each SUBSCRIBE says where to go on from and is answered once, each FETCH is one
// piece of a file. Threads: the gate's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "delivery/blob_reader.h"
#include "delivery/door_internal.h"
#include "delivery/store_session.h"

namespace cusp::delivery {

class FeedSession final : public PeerSession {
 public:
  FeedSession(const GateContext& context, Door::Send send);

  Result<void> handle(const Message& message) override;
  void changed() override;
  [[nodiscard]] std::uint64_t lag(std::uint64_t last_seq) const override;

 private:
  struct Waiting {
    std::uint64_t request;
    std::uint64_t since;
  };
  struct OpenFile {
    std::string sha256;
    std::uint64_t size_bytes;
    std::unique_ptr<BlobReader> reader;
  };

  Result<void> on_subscribe(const Message& message);
  Result<void> on_fetch(const Message& message);
  void send_events();
  // The file of the last FETCH stays open: they come in order.
  Result<void> open(const std::string& sha256);
  void reject(std::uint64_t request, RejectCode code, const std::string& text);

  GateContext context_;
  const Door::Send send_;
  std::optional<Waiting> waiting_;
  std::uint64_t place_ = 0;  // it has everything up to here
  std::optional<OpenFile> file_;
};

}  // namespace cusp::delivery
