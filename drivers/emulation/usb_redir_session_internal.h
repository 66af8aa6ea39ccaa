// UsbRedirSession: one machine at the other end of a usb-redir socket, and the function that it may
// have. Threads: one at a time.
#pragma once

#include <usbredirparser.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "drivers/emulation/endpoint_list.h"
#include "drivers/emulation/waiting_transfers.h"

namespace cusp {

class UsbRedirSession {
 public:
  // The socket does not block and stays the caller's.
  explicit UsbRedirSession(int socket);

  void plug(UsbFunction& function);
  void unplug();
  [[nodiscard]] bool attached() const { return connected_; }

  // Takes what came, answers what can be answered, sends what fits. False: the conversation is
  // over. `due` is when to call again at the latest.
  bool work(std::optional<MonoTime>& due);
  [[nodiscard]] bool wants_to_write() const;
  // Without room nothing is read: the machine must take its answers first.
  [[nodiscard]] bool has_room() const;

 private:
  struct Destroy {
    void operator()(usbredirparser* parser) const { usbredirparser_destroy(parser); }
  };
  // An isochronous or interrupt endpoint that sends by itself.
  struct Stream {
    WaitingTransfer transfer;  // what is queued again when it ends
    std::uint64_t next_packet = 0;
  };

  int read(std::uint8_t* data, int count);
  int write(const std::uint8_t* data, int count);
  void register_requests();
  [[nodiscard]] const ListedEndpoint* find(std::uint8_t address, std::uint8_t type) const;

  void greet();
  void connect();
  void send_interfaces();
  void send_endpoints();
  void reset();
  void set_configuration(std::uint64_t id, std::uint8_t configuration);
  void set_alternate(std::uint64_t id, std::uint8_t interface_number, std::uint8_t alternate);
  void get_alternate(std::uint64_t id, std::uint8_t interface_number);
  void control(std::uint64_t id, usb_redir_control_packet_header header,
               std::span<const std::uint8_t> out);
  void bulk(std::uint64_t id, usb_redir_bulk_packet_header header);
  void cancel(std::uint64_t id);
  // usb_redir_success or why not.
  std::uint8_t start_stream(std::uint8_t address, std::uint8_t type, std::size_t packets,
                            std::size_t transfers);
  // Takes back all that waits at the endpoint.
  std::uint8_t stop(std::uint8_t address);
  void answer(const EndedTransfer& ended);
  void answer_bulk(std::uint64_t id, std::uint8_t endpoint, std::uint8_t status,
                   std::span<const std::uint8_t> bytes);

  const int socket_;
  std::unique_ptr<usbredirparser, Destroy> parser_;
  bool greeted_ = false;    // its capabilities are known
  bool connected_ = false;  // it was told of the function
  bool leaving_ = false;    // it was told that the function is gone, and has not agreed yet
  bool broken_ = false;     // it broke the protocol
  UsbFunction* function_ = nullptr;  // null: nothing is plugged in
  EndpointList list_;
  std::map<std::uint8_t, std::uint8_t> alternates_;  // of each interface
  std::optional<WaitingTransfers> waiting_;
  std::map<std::uint8_t, Stream> streams_;
  std::map<std::uint64_t, usb_redir_control_packet_header> unanswered_;
};

}  // namespace cusp
