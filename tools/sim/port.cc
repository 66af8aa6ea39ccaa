#include "tools/sim/port.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "core/file_system.h"
#include "drivers/emulation/umock_bus.h"
#include "drivers/emulation/usb_redir.h"
#include "drivers/emulation/usbip_protocol.h"
#include "drivers/emulation/usbip_server.h"

namespace cusp::sim {
namespace {

constexpr const char* kPreload = "libumockdev-preload.so.0";

class UmockPort final : public Port {
 public:
  UmockPort(RunFolder folder, std::unique_ptr<UmockBus> bus)
      : folder_(std::move(folder)), bus_(std::move(bus)) {}
  ~UmockPort() override {
    std::error_code ignored;
    std::filesystem::remove(folder_.umockdev_dir(), ignored);
  }

  Result<void> plug(UsbFunction& device) override {
    CUSP_TRY(bus_->plug(device));
    return write_text(bus_->folder().string() + "\n", folder_.umockdev_dir());
  }
  Result<void> unplug(UsbFunction& device) override { return bus_->unplug(device); }
  std::string how_to_attach() const override {
    return fmt::format(
        "Clients see it with\n  UMOCKDEV_DIR={} LD_PRELOAD=libumockdev-preload.so.0\n",
        bus_->folder().string());
  }

 private:
  const RunFolder folder_;
  const std::unique_ptr<UmockBus> bus_;
};

class UsbipPort final : public Port {
 public:
  explicit UsbipPort(std::unique_ptr<UsbipServer> server) : server_(std::move(server)) {}

  Result<void> plug(UsbFunction& device) override {
    CUSP_ASSIGN(bus_id_, server_->plug(device));
    return {};
  }
  Result<void> unplug(UsbFunction& device) override { return server_->unplug(device); }
  std::string how_to_attach() const override {
    const std::string option = server_->port() == usbip::kPort
                                   ? std::string()
                                   : fmt::format("--tcp-port {} ", server_->port());
    return fmt::format(
        "This machine attaches it, and again after each plug, with\n"
        "  sudo modprobe vhci-hcd\n"
        "  sudo usbip {}attach -r 127.0.0.1 -b {}\n",
        option, bus_id_);
  }

 private:
  const std::unique_ptr<UsbipServer> server_;
  std::string bus_id_;
};

class UsbRedirSocket final : public Port {
 public:
  UsbRedirSocket(std::unique_ptr<UsbRedirPort> port, std::filesystem::path socket)
      : port_(std::move(port)), socket_(std::move(socket)) {}

  Result<void> plug(UsbFunction& device) override { return port_->plug(device); }
  Result<void> unplug(UsbFunction&) override { return port_->unplug(); }
  std::string how_to_attach() const override {
    return fmt::format(
        "A virtual machine has it with these options of qemu-system-x86_64:\n"
        "  -device qemu-xhci,id=xhci -chardev socket,id=scanner,path={},reconnect=1\n"
        "  -device usb-redir,chardev=scanner,bus=xhci.0\n",
        socket_.string());
  }

 private:
  const std::unique_ptr<UsbRedirPort> port_;
  const std::filesystem::path socket_;
};

}  // namespace

Result<std::unique_ptr<Port>> make_umock_port(const RunFolder& folder) {
  PosixFileSystem files;
  CUSP_TRY(files.remove(folder.umockdev_dir()));  // of a run that was killed
  CUSP_ASSIGN(std::unique_ptr<UmockBus> bus, UmockBus::create());
  return std::unique_ptr<Port>(std::make_unique<UmockPort>(folder, std::move(bus)));
}

Result<std::unique_ptr<Port>> make_usbip_port(std::uint16_t tcp_port) {
  CUSP_ASSIGN(std::unique_ptr<UsbipServer> server, UsbipServer::start(tcp_port));
  return std::unique_ptr<Port>(std::make_unique<UsbipPort>(std::move(server)));
}

Result<std::unique_ptr<Port>> make_usb_redir_port(const std::filesystem::path& socket) {
  CUSP_ASSIGN(std::unique_ptr<UsbRedirPort> port, UsbRedirPort::listen(socket));
  return std::unique_ptr<Port>(
      std::make_unique<UsbRedirSocket>(std::move(port), std::filesystem::absolute(socket)));
}

Result<void> preload_umockdev(char** arguments) {
  const char* present = std::getenv("LD_PRELOAD");
  const std::string preload = present != nullptr ? present : "";
  if (preload.find("libumockdev-preload") != std::string::npos) return {};
  const std::string wanted = preload.empty() ? kPreload : std::string(kPreload) + ":" + preload;
  if (::setenv("LD_PRELOAD", wanted.c_str(), 1) == 0) ::execv("/proc/self/exe", arguments);
  return error(ErrorCode::kUnavailable, "umockdev: this program can't start itself under {}: {}",
               kPreload, std::generic_category().message(errno));
}

}  // namespace cusp::sim
