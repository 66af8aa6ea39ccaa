// A running cusp-sim on every port: it says how to attach the device, and obeys while it runs.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "drivers/bytes.h"
#include "pipeline/export.h"
#include "tests/drivers/usbip_host.h"
#include "tests/tools/shapes.h"
#include "tests/tools/temporary_folder.h"

namespace cusp {
namespace {

struct Family {
  const char* name;
  std::uint16_t vendor_id, product_id;
  bool has_button;
};

class AttachedFamily : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    const auto bytes = to_ply(shapes::relief(25, 60));
    std::ofstream(file("jaw.ply"), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  void TearDown() override {
    if (!pid_.empty()) run("kill -TERM " + pid_);
  }
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

  // What the command said, on both streams; its exit code goes to `code`.
  static std::string run(const std::string& command, int* code = nullptr) {
    FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {};
    std::string said;
    std::array<char, 4096> part{};
    while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe))
      said.append(part.data(), size);
    const int status = ::pclose(pipe);
    if (code != nullptr) *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return said;
  }
  // Starts a device, waits until it is plugged in, and answers what it said.
  std::string attach(const std::string& way) {
    const std::string command = std::string(CUSP_SIM_PROGRAM) + " " + way + " --family " +
                                GetParam().name + " --run-folder " + file("run") + " --upper " +
                                file("jaw.ply") + " --frames 20 >" + file("said") +
                                " 2>&1 & echo $!";
    pid_ = run(command);
    return run("for i in $(seq 600); do grep -q Ctrl-C " + file("said") +
               " && break; sleep 0.1; done; cat " + file("said"));
  }
  int sim(const std::string& verb) {
    int code = -1;
    said_ = run(std::string(CUSP_SIM_PROGRAM) + " " + verb + " --run-folder " + file("run"), &code);
    return code;
  }

  TemporaryFolder folder_;
  std::string pid_, said_;
};

TEST_P(AttachedFamily, IsThereOverUsbIpAndObeys) {
  const std::string said = attach("usbip --port 0");
  const auto at = said.find("--tcp-port ");
  ASSERT_NE(at, std::string::npos) << said;
  const auto port = static_cast<std::uint16_t>(std::stoi(said.substr(at + 11)));
  {
    UsbipHost host(port);
    ASSERT_EQ(host.import_device("1-1"), 0U);
    const Bytes descriptor = host.control({0x80, 6, 0, 1, 0, 0, 18, 0}, 18).data;
    ASSERT_EQ(descriptor.size(), 18u);
    EXPECT_EQ(read_le<std::uint16_t>(descriptor, 8), GetParam().vendor_id);
    EXPECT_EQ(read_le<std::uint16_t>(descriptor, 10), GetParam().product_id);
    EXPECT_EQ(sim("unplug"), 0) << said_;
    EXPECT_TRUE(host.closed_by_server());
  }
  EXPECT_EQ(sim("unplug"), 1);
  EXPECT_EQ(sim("plug"), 0) << said_;
  UsbipHost again(port);
  EXPECT_EQ(again.import_device("1-1"), 0U);
  EXPECT_EQ(sim("freeze"), 0) << said_;
  EXPECT_EQ(sim("button short"), GetParam().has_button ? 0 : 1) << said_;
  EXPECT_EQ(sim("show palate"), 1);
  EXPECT_EQ(sim("progress --json"), 0);
  EXPECT_NE(said_.find("\"plugged\":true"), std::string::npos) << said_;
}

TEST_P(AttachedFamily, SaysHowAVirtualMachineGetsIt) {
  const std::string said = attach("usbredir --socket " + file("usb.sock"));
  EXPECT_NE(said.find("usb-redir,chardev=scanner"), std::string::npos) << said;
  EXPECT_TRUE(std::filesystem::is_socket(file("usb.sock")));
  EXPECT_EQ(sim("unplug"), 0) << said_;
  EXPECT_EQ(sim("plug"), 0) << said_;
}

INSTANTIATE_TEST_SUITE_P(Each, AttachedFamily,
                         testing::Values(Family{"d405", 0x8086, 0x0B5B, false},
                                         Family{"wand", 0x1209, 0x0001, true},
                                         Family{"camera", 0x1D6B, 0x0102, true}),
                         [](const auto& test) { return test.param.name; });

class Refusals : public AttachedFamily {};

TEST_P(Refusals, NameWhatTheFamilyCannotSee) {
  int code = -1;
  const std::string said =
      run(std::string(CUSP_SIM_PROGRAM) + " usbip --port 0 --family " + GetParam().name +
              " --run-folder " + file("run") + " --upper " + file("jaw.ply"),
          &code);
  EXPECT_EQ(code, 1);
  EXPECT_NE(said.find(GetParam().name), std::string::npos) << said;
  EXPECT_NE(said.find("teeth"), std::string::npos) << said;
}

TEST_P(Refusals, NameTheFileOfARecordingThatIsNotThere) {
  int code = -1;
  const std::string said =
      run(std::string(CUSP_SIM_PROGRAM) + " usbip --port 0 --run-folder " + file("run") +
              " --fringe-folder " + file("pictures") + " --fringe-calibration " + file("none.xml") +
              " --fringe-pitches 114,1824 --fringe-range 300,500",
          &code);
  EXPECT_EQ(code, 1);
  EXPECT_NE(said.find("none.xml"), std::string::npos) << said;
}

TEST_P(Refusals, NameAnOptionThatWouldDoNothing) {
  const auto refused = [&](const std::string& family, const std::string& options,
                           const std::string& name) {
    int code = -1;
    const std::string said = run(std::string(CUSP_SIM_PROGRAM) + " usbip --port 0 --run-folder " +
                                     file("run") + " --family " + family + " " + options,
                                 &code);
    EXPECT_EQ(code, 1) << said;
    EXPECT_NE(said.find(name), std::string::npos) << said;
    EXPECT_NE(said.find(family), std::string::npos) << said;
  };
  refused("d405", "--effects all", "--effects");
  for (const std::string option : {"--soft-tissue", "--sweeps", "--no-noise"}) {
    refused("wand", option, option);
    refused("camera", option, option);
  }
  refused("camera", "--width 640", "--width");
  refused("camera", "--rate 20", "--rate");
  refused("d435", "--depth-folder " + file("none") + " --intrinsics 1,1,1,1 --height 100",
          "--height");
  refused("wand",
          "--fringe-folder " + file("pictures") + " --fringe-calibration " + file("none.xml") +
              " --fringe-pitches 114,1824 --fringe-range 300,500 --width 640",
          "--width");
}

INSTANTIATE_TEST_SUITE_P(Each, Refusals, testing::Values(Family{"d435", 0, 0, false}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace cusp
