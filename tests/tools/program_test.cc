// The programs as a person runs them: exit codes, and one sentence for what is wrong.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

#include "pipeline/export.h"
#include "tests/tools/shapes.h"
#include "tests/tools/temporary_folder.h"

namespace cusp {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string output;  // both streams
};

Outcome run(const std::string& command) {
  Outcome result;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  std::array<char, 4096> part{};
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe))
    result.output.append(part.data(), size);
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

const std::string kSim = CUSP_SIM_PROGRAM;
const std::string kVerify = CUSP_VERIFY_PROGRAM;

class Programs : public ::testing::Test {
 protected:
  std::string file(const std::string& name) { return (folder_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }
  std::string write(const std::string& name, const Mesh& mesh) {
    const auto bytes = to_ply(mesh);
    return write(name, std::string(bytes.begin(), bytes.end()));
  }
  // One sentence of ours; a mesh library may have said its own before it.
  static void expect_one_sentence(const Outcome& outcome, const std::string& about) {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.output;
    const auto sentence = outcome.output.find("cusp-sim: ") != std::string::npos
                              ? outcome.output.find("cusp-sim: ")
                              : outcome.output.find("cusp-verify: ");
    ASSERT_NE(sentence, std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n', sentence), outcome.output.size() - 1) << outcome.output;
    EXPECT_NE(outcome.output.find(about, sentence), std::string::npos) << outcome.output;
  }
  TemporaryFolder folder_;
};

TEST_F(Programs, AnswerAMalformedMeshWithOneSentenceThatNamesIt) {
  const std::string good = write("good.ply", shapes::relief(10, 10));
  std::string bytes;
  {
    std::ifstream in(good, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (const auto& [name, content] :
       {std::pair<std::string, std::string>{"cut.ply", bytes.substr(0, bytes.size() / 2)},
        {"words.stl", "this is no mesh\n"},
        {"empty.obj", ""},
        {"other.doc", "x"}}) {
    const std::string path = write(name, content);
    expect_one_sentence(run(kSim + " render --mesh " + path + " -o " + file("out.png")), name);
    expect_one_sentence(run(kVerify + " surface --model " + path + " --truth " + good), name);
  }
  expect_one_sentence(run(kVerify + " surface --model " + file("none.ply") + " --truth " + good),
                      "none.ply");
}

TEST_F(Programs, DrawAMeshAsPng) {
  const std::string mesh = write("relief.ply", shapes::relief(25, 60));
  for (const std::string view : {"occlusal", "front", "left"}) {
    const Outcome drawn = run(kSim + " render --mesh " + mesh + " -o " + file(view + ".png") +
                              " --size 120x90 --view " + view);
    EXPECT_EQ(drawn.exit_code, 0) << drawn.output;
    EXPECT_GT(std::filesystem::file_size(file(view + ".png")), 1000U);
  }
  expect_one_sentence(run(kSim + " render --mesh " + mesh + " -o " + file("x.png") + " --size 1x1"),
                      "1x1");
}

TEST_F(Programs, MeasureAModelAgainstItsTruth) {
  Mesh model = shapes::relief(25, 80);
  const std::string truth = write("truth.ply", model);
  const Outcome measured = run(kVerify + " surface --json --model " + truth + " --truth " + truth);
  EXPECT_EQ(measured.exit_code, 0) << measured.output;
  EXPECT_NE(measured.output.find("\"median_um\""), std::string::npos);
  const std::string sphere = write("sphere.ply", shapes::sphere(60, 40));
  expect_one_sentence(run(kVerify + " surface --model " + sphere + " --truth " + truth),
                      "does not fit");
}

TEST_F(Programs, TellWrongUsageFromFailure) {
  EXPECT_EQ(run(kSim).exit_code, 2);
  EXPECT_EQ(run(kSim + " make --jaw middle -o x.ply").exit_code, 2);
  EXPECT_EQ(run(kSim + " usb --run-folder x --serial wand").exit_code, 2);
  EXPECT_EQ(run(kVerify + " trajectory --frames x").exit_code, 2);
  EXPECT_EQ(run(kSim + " --help").exit_code, 0);
  EXPECT_EQ(run(kSim + " usb --help").exit_code, 0);
  EXPECT_EQ(run(kVerify + " --help").exit_code, 0);
}

TEST_F(Programs, SayThatNoScannerRunsThere) {
  for (const std::string verb : {"progress", "wait", "show upper", "unplug"})
    expect_one_sentence(run(kSim + " " + verb + " --run-folder " + folder_.path().string()),
                        "control.sock");
}

TEST_F(Programs, PlugAScannerInSteerItAndLeaveNothingRunning) {
  const std::string mesh = write("jaw.ply", shapes::relief(25, 60));
  const std::string folder = file("run");
  const std::string script = write("steer.sh", fmt::format(R"(
sim={0} run={1}
$sim usb --run-folder $run --upper {2} --lower {2} --frames 20 --width 160 --height 96 &
scanner=$!
for i in $(seq 300); do [ -s $run/umockdev-dir ] && break; sleep 0.1; done
[ -d "$(cat $run/umockdev-dir)/sys" ] && echo bus is there
$sim show lower --run-folder $run && $sim progress --json --run-folder $run
$sim show palate --run-folder $run || echo no palate
$sim usb --run-folder $run --upper {2} || echo only one scanner
$sim unplug --run-folder $run && $sim progress --run-folder $run
$sim unplug --run-folder $run || echo already out
$sim plug --run-folder $run && $sim stall --run-folder $run && $sim silence --run-folder $run
$sim wait --timeout 0.2 --run-folder $run || echo nobody reads
kill -TERM $scanner
wait $scanner
echo ended with $?
ls $run
)",
                                                           kSim, folder, mesh));
  const Outcome steered = run("sh " + script);
  for (const std::string said :
       {"The scanner is plugged in", "bus is there", "\"scene\":\"lower\"", "no palate",
        "only one scanner", "lower: 0 of 20 frames, unplugged", "already out", "nobody reads",
        "ended with 0", "scene-lower.ply", "truth-upper.log", "truth.json"})
    EXPECT_NE(steered.output.find(said), std::string::npos) << said << "\nin:\n" << steered.output;
  EXPECT_FALSE(std::filesystem::exists(folder + "/control.sock"));
  EXPECT_FALSE(std::filesystem::exists(folder + "/umockdev-dir"));
}

TEST_F(Programs, ShowOnePictureOfAFringeScanner) {
  const std::string mesh = write("teeth.ply", shapes::ellipsoid({14, 6, 5}, 40));
  const std::string command = kSim + " picture --mesh " + mesh + " --tissue enamel --frame 30 -o ";
  const Outcome fringe = run(command + file("fringe.png"));
  EXPECT_EQ(fringe.exit_code, 0) << fringe.output;
  EXPECT_NE(fringe.output.find("pattern 0"), std::string::npos) << fringe.output;
  EXPECT_GT(std::filesystem::file_size(file("fringe.png")), 1000U);
  const Outcome colour = run(command + file("colour.png") + " --pattern 6 --effects all,-fog");
  EXPECT_EQ(colour.exit_code, 0) << colour.output;
  EXPECT_GT(std::filesystem::file_size(file("colour.png")), 1000U);

  expect_one_sentence(run(command + file("no.png") + " --effects mist"), "mist");
  expect_one_sentence(run(command + file("no.png") + " --pattern 9"), "--pattern 9");
  EXPECT_FALSE(std::filesystem::exists(file("no.png")));
}

}  // namespace
}  // namespace cusp
