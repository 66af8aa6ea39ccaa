// Which verb of the session each message of the machine calls: libusbredirparser is C.
#include "drivers/emulation/usb_redir_session_internal.h"

namespace cusp {

void UsbRedirSession::register_requests() {
  usbredirparser& parser = *parser_;
  static constexpr auto of = [](void* session) -> UsbRedirSession& {
    return *static_cast<UsbRedirSession*>(session);
  };
  parser.priv = this;
  parser.log_func = [](void*, int, const char*) {};
  parser.read_func = [](void* s, std::uint8_t* data, int count) { return of(s).read(data, count); };
  parser.write_func = [](void* s, std::uint8_t* data, int count) {
    return of(s).write(data, count);
  };
  parser.hello_func = [](void* s, usb_redir_hello_header*) { of(s).greet(); };
  parser.device_disconnect_ack_func = [](void* s) {
    of(s).leaving_ = false;
    of(s).connect();
  };
  parser.reset_func = [](void* s) { of(s).reset(); };
  parser.set_configuration_func = [](void* s, std::uint64_t id,
                                     usb_redir_set_configuration_header* header) {
    of(s).set_configuration(id, header->configuration);
  };
  parser.get_configuration_func = [](void* s, std::uint64_t id) {
    usb_redir_configuration_status_header status{usb_redir_success, of(s).list_.configuration};
    usbredirparser_send_configuration_status(of(s).parser_.get(), id, &status);
  };
  parser.set_alt_setting_func = [](void* s, std::uint64_t id,
                                   usb_redir_set_alt_setting_header* header) {
    of(s).set_alternate(id, header->interface, header->alt);
  };
  parser.get_alt_setting_func = [](void* s, std::uint64_t id,
                                   usb_redir_get_alt_setting_header* header) {
    of(s).get_alternate(id, header->interface);
  };
  parser.start_iso_stream_func = [](void* s, std::uint64_t id,
                                    usb_redir_start_iso_stream_header* header) {
    usb_redir_iso_stream_status_header status{
        of(s).start_stream(header->endpoint, kIsochronousType, header->pkts_per_urb,
                           header->no_urbs),
        header->endpoint};
    usbredirparser_send_iso_stream_status(of(s).parser_.get(), id, &status);
  };
  parser.stop_iso_stream_func = [](void* s, std::uint64_t id,
                                   usb_redir_stop_iso_stream_header* header) {
    usb_redir_iso_stream_status_header status{of(s).stop(header->endpoint), header->endpoint};
    usbredirparser_send_iso_stream_status(of(s).parser_.get(), id, &status);
  };
  parser.start_interrupt_receiving_func = [](void* s, std::uint64_t id,
                                             usb_redir_start_interrupt_receiving_header* header) {
    usb_redir_interrupt_receiving_status_header status{
        of(s).start_stream(header->endpoint, kInterruptType, 0, 1), header->endpoint};
    usbredirparser_send_interrupt_receiving_status(of(s).parser_.get(), id, &status);
  };
  parser.stop_interrupt_receiving_func = [](void* s, std::uint64_t id,
                                            usb_redir_stop_interrupt_receiving_header* header) {
    usb_redir_interrupt_receiving_status_header status{of(s).stop(header->endpoint),
                                                       header->endpoint};
    usbredirparser_send_interrupt_receiving_status(of(s).parser_.get(), id, &status);
  };
  parser.cancel_data_packet_func = [](void* s, std::uint64_t id) { of(s).cancel(id); };
  parser.control_packet_func = [](void* s, std::uint64_t id,
                                  usb_redir_control_packet_header* header, std::uint8_t* data,
                                  int size) {
    of(s).control(id, *header, {data, static_cast<std::size_t>(size)});
    usbredirparser_free_packet_data(of(s).parser_.get(), data);
  };
  parser.bulk_packet_func = [](void* s, std::uint64_t id, usb_redir_bulk_packet_header* header,
                               std::uint8_t* data, int) {
    of(s).bulk(id, *header);
    usbredirparser_free_packet_data(of(s).parser_.get(), data);
  };
  // Data for other endpoints than zero: no function of ours takes any.
  parser.iso_packet_func = [](void* s, std::uint64_t, usb_redir_iso_packet_header*,
                              std::uint8_t* data,
                              int) { usbredirparser_free_packet_data(of(s).parser_.get(), data); };
  parser.interrupt_packet_func = [](void* s, std::uint64_t id,
                                    usb_redir_interrupt_packet_header* header, std::uint8_t* data,
                                    int) {
    usb_redir_interrupt_packet_header status = *header;
    status.status = usb_redir_stall;
    usbredirparser_send_interrupt_packet(of(s).parser_.get(), id, &status, nullptr, 0);
    usbredirparser_free_packet_data(of(s).parser_.get(), data);
  };
}

}  // namespace cusp
