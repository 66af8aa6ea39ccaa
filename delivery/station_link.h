// StationLink: the station's end of SXP/1 (PROTOCOL.md): sends the outbox, follows the worklist.
//
// One DEALER socket, owned by the thread that calls run(); on any doubt the socket is closed and a
// new one says HELLO again. Nothing is lost when it stops at any moment: the outbox is the memory.
//
// For the daemon: call wake() after Outbox::commit() and after every Worklist::set_state() or
// add(). The link itself advances a ticket in the worklist (ready -> sending -> delivered, back to
// ready when the connection goes) where the worklist holds that revision, and reports the states of
// the store's own tickets. After a crash between "saved" and the worklist's note of it, set the
// ticket to ready when Outbox::find() knows it: a receipt that came earlier is then settled.
// Threads: run() blocks the thread that is lent; the other verbs from any thread. Outbox and
// worklist outlive run().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "core/clock.h"
#include "delivery/keys.h"
#include "delivery/outbox.h"
#include "delivery/worklist.h"

namespace cusp::delivery {

struct StationLinkOptions {
  std::string endpoint;  // tcp://host:5671
  std::string station_id;
  std::string software_version;
  KeyPair keys;
  std::string store_public_z85;
  Retention retention;
  std::chrono::milliseconds heartbeat{5000};
  std::chrono::milliseconds progress_deadline{15000};  // no answer for this long: new socket
  std::chrono::milliseconds retry_min{200};
  std::chrono::milliseconds retry_max{30000};
};

struct LinkStatus {
  bool connected = false;  // a WELCOME stands and the store answers
  std::string problem;     // why not, a sentence
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_resent = 0;
  std::uint64_t receipts = 0;
};

class StationLink {
 public:
  StationLink(StationLinkOptions options, Outbox& outbox, Worklist& worklist, const Clock& clock);
  ~StationLink();

  void run(std::stop_token stop);
  // The outbox or a claim has something new: look now.
  void wake();
  [[nodiscard]] LinkStatus status() const;
  // Told (on the link's thread) after a receipt was made durable, an entry's state or progress
  // changed, the worklist changed, or the connection came or went. Set it before run().
  void on_change(std::function<void()> callback);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cusp::delivery
