// The virtual machine's end of usb-redir, for tests: libusbredirparser again, in the other role.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <usbredirparser.h>

#include <cerrno>
#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "drivers/driver.h"

namespace cusp {

using Bytes = std::vector<std::uint8_t>;

// One message of the device.
struct Heard {
  std::string what;
  std::uint64_t id = 0;
  int status = -1;
  int endpoint = -1;
  Bytes data{};
};

inline int connect_to(const std::filesystem::path& path) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return socket;
}

// A virtual machine's side.
class Machine {
 public:
  explicit Machine(const std::filesystem::path& path)
      : socket_(connect_to(path)), parser_(usbredirparser_create()) {
    parser_->priv = this;
    parser_->log_func = [](void*, int level, const char* text) {
      if (level == usbredirparser_error) ADD_FAILURE() << text;
    };
    parser_->read_func = [](void* m, std::uint8_t* data, int count) {
      const auto size = ::recv(of(m).socket_, data, static_cast<std::size_t>(count), MSG_DONTWAIT);
      if (size == 0) of(m).closed_ = true;
      return size > 0 ? static_cast<int>(size) : size < 0 && errno == EAGAIN ? 0 : -1;
    };
    parser_->write_func = [](void* m, std::uint8_t* data, int count) {
      return static_cast<int>(
          ::send(of(m).socket_, data, static_cast<std::size_t>(count), MSG_NOSIGNAL));
    };
    parser_->hello_func = [](void*, usb_redir_hello_header*) {};
    parser_->interface_info_func = [](void* m, usb_redir_interface_info_header* info) {
      of(m).interfaces = *info;
    };
    parser_->ep_info_func = [](void* m, usb_redir_ep_info_header* info) {
      of(m).endpoints = *info;
    };
    parser_->device_connect_func = [](void* m, usb_redir_device_connect_header* connected) {
      of(m).device = *connected;
      of(m).hear({"connect"});
    };
    parser_->device_disconnect_func = [](void* m) { of(m).hear({"disconnect"}); };
    parser_->configuration_status_func = [](void* m, std::uint64_t id,
                                            usb_redir_configuration_status_header* status) {
      of(m).hear({"configuration", id, status->status, status->configuration});
    };
    parser_->alt_setting_status_func = [](void* m, std::uint64_t id,
                                          usb_redir_alt_setting_status_header* status) {
      of(m).hear({"alternate", id, status->status, status->alt});
    };
    parser_->iso_stream_status_func = [](void* m, std::uint64_t id,
                                         usb_redir_iso_stream_status_header* status) {
      of(m).hear({"iso status", id, status->status, status->endpoint});
    };
    parser_->interrupt_receiving_status_func =
        [](void* m, std::uint64_t id, usb_redir_interrupt_receiving_status_header* status) {
          of(m).hear({"interrupt status", id, status->status, status->endpoint});
        };
    parser_->control_packet_func = [](void* m, std::uint64_t id,
                                      usb_redir_control_packet_header* header, std::uint8_t* data,
                                      int size) {
      of(m).hear({"control", id, header->status, header->endpoint}, data, size);
    };
    parser_->bulk_packet_func = [](void* m, std::uint64_t id, usb_redir_bulk_packet_header* header,
                                   std::uint8_t* data, int size) {
      of(m).hear({"bulk", id, header->status, header->endpoint}, data, size);
    };
    parser_->iso_packet_func = [](void* m, std::uint64_t id, usb_redir_iso_packet_header* header,
                                  std::uint8_t* data, int size) {
      of(m).hear({"iso", id, header->status, header->endpoint}, data, size);
    };
    parser_->interrupt_packet_func = [](void* m, std::uint64_t id,
                                        usb_redir_interrupt_packet_header* header,
                                        std::uint8_t* data, int size) {
      of(m).hear({"interrupt", id, header->status, header->endpoint}, data, size);
    };
    std::uint32_t capabilities[USB_REDIR_CAPS_SIZE] = {};
    for (const int capability :
         {usb_redir_cap_connect_device_version, usb_redir_cap_device_disconnect_ack,
          usb_redir_cap_ep_info_max_packet_size, usb_redir_cap_64bits_ids,
          usb_redir_cap_32bits_bulk_length, usb_redir_cap_bulk_receiving})
      usbredirparser_caps_set_cap(capabilities, capability);
    usbredirparser_init(parser_, "test", capabilities, USB_REDIR_CAPS_SIZE, 0);
    flush();
  }
  ~Machine() {
    usbredirparser_destroy(parser_);
    ::close(socket_);
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void flush() { EXPECT_EQ(usbredirparser_do_write(parser_), 0); }
  // The next message; one without a name when the device closed.
  Heard next() {
    while (heard_.empty() && !closed_) {
      pollfd readable{socket_, POLLIN, 0};
      if (::poll(&readable, 1, 20'000) != 1) {
        ADD_FAILURE() << "the device is silent";
        return {};
      }
      usbredirparser_do_read(parser_);
    }
    if (heard_.empty()) return {};
    Heard first = std::move(heard_.front());
    heard_.pop_front();
    return first;
  }

  void ask_bulk(std::uint64_t id, std::uint8_t endpoint, std::uint32_t size) {
    usb_redir_bulk_packet_header header{endpoint, 0, static_cast<std::uint16_t>(size), 0,
                                        static_cast<std::uint16_t>(size >> 16)};
    usbredirparser_send_bulk_packet(parser_, id, &header, nullptr, 0);
    flush();
  }
  void ask_control(std::uint64_t id, const ControlSetup& setup, std::uint16_t size,
                   Bytes out = {}) {
    const bool in = (setup.request_type & 0x80) != 0;
    usb_redir_control_packet_header header{in ? std::uint8_t{0x80} : std::uint8_t{0},
                                           setup.request,
                                           setup.request_type,
                                           0,
                                           setup.value,
                                           setup.index,
                                           size};
    usbredirparser_send_control_packet(parser_, id, &header, out.data(),
                                       static_cast<int>(out.size()));
    flush();
  }
  void cancel(std::uint64_t id) {
    usbredirparser_send_cancel_data_packet(parser_, id);
    flush();
  }
  void set_alternate(std::uint64_t id, std::uint8_t interface_number, std::uint8_t alternate) {
    usb_redir_set_alt_setting_header header{interface_number, alternate};
    usbredirparser_send_set_alt_setting(parser_, id, &header);
    flush();
  }
  usbredirparser* parser() { return parser_; }

  usb_redir_interface_info_header interfaces{};
  usb_redir_ep_info_header endpoints{};
  usb_redir_device_connect_header device{};

 private:
  static Machine& of(void* machine) { return *static_cast<Machine*>(machine); }
  void hear(Heard heard, std::uint8_t* data = nullptr, int size = 0) {
    heard.data.assign(data, data + size);
    usbredirparser_free_packet_data(parser_, data);
    heard_.push_back(std::move(heard));
  }

  const int socket_;
  usbredirparser* parser_;
  std::deque<Heard> heard_;
  bool closed_ = false;
};

}  // namespace cusp
