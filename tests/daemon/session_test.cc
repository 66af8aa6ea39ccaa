#include "daemon/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "core/uuid.h"

namespace cusp::daemon {
namespace {

using ::testing::HasSubstr;

constexpr ScanStage kUpper = ScanStage::kUpper;
constexpr ScanStage kLower = ScanStage::kLower;

ScanTicket two_jaws() {
  ScanTicket ticket;
  ticket.id = new_uuid();
  ticket.stages = {kUpper, kLower};
  return ticket;
}

Session fresh(TicketState state = TicketState::kCreated, std::vector<ScanStage> done = {}) {
  return Session(two_jaws(), state, done);
}

#define ASSERT_DONE(command)                                                \
  do {                                                                      \
    const auto result = (command);                                          \
    ASSERT_TRUE(result.ok()) << #command << ": " << result.error().message; \
  } while (false)

Session scanning_upper() {
  Session session = fresh(TicketState::kClaimed);
  CUSP_CHECK(session.start(kUpper).ok(), "start");
  return session;
}

TEST(Session, TwoStagesFromClaimToSaved) {
  Session s = fresh();
  ASSERT_DONE(s.claim());
  ASSERT_DONE(s.start(kUpper));
  EXPECT_EQ(s.state(), TicketState::kScanning);
  EXPECT_EQ(s.current(), kUpper);
  ASSERT_DONE(s.pause());
  EXPECT_EQ(s.state(), TicketState::kPaused);
  ASSERT_DONE(s.resume());
  ASSERT_DONE(s.finish_stage());
  EXPECT_EQ(s.stage_state(kUpper), StageState::kProcessing);
  EXPECT_EQ(s.current(), std::nullopt);
  ASSERT_DONE(s.start(kLower));  // while upper is processed
  ASSERT_DONE(s.stage_done(kUpper));
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.finish());
  EXPECT_EQ(s.state(), TicketState::kProcessing);
  EXPECT_FALSE(s.wants_save()) << "lower has no model yet";
  ASSERT_DONE(s.stage_done(kLower));
  EXPECT_TRUE(s.wants_save());
  ASSERT_DONE(s.saved());
  EXPECT_EQ(s.state(), TicketState::kReady);
}

TEST(Session, FinishLeavesStagesThatWereNotScannedOut) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.finish());
  ASSERT_DONE(s.stage_done(kUpper));
  EXPECT_TRUE(s.wants_save());
}

TEST(Session, FinishNeedsAScannedStageAndNoOpenOne) {
  Session s = fresh(TicketState::kClaimed);
  EXPECT_THAT(s.finish().error().message, HasSubstr("nothing is scanned yet"));
  ASSERT_DONE(s.start(kUpper));
  EXPECT_THAT(s.finish().error().message, HasSubstr("stage upper is scanning: finish that stage"));
  ASSERT_DONE(s.pause());
  EXPECT_THAT(s.finish().error().message, HasSubstr("stage upper is paused"));
}

TEST(Session, OneStageIsScannedAtATime) {
  Session s = scanning_upper();
  const auto second = s.start(kLower);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_EQ(s.stage_state(kLower), StageState::kPending);
}

TEST(Session, StageThatTheTicketLacksIsNamedWithThoseItHas) {
  Session s = fresh(TicketState::kClaimed);
  const auto result = s.start(ScanStage::kBiteLeft);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("its stages are upper, lower"));
}

TEST(Session, LostDeviceInterruptsAndResumeGoesOn) {
  Session s = scanning_upper();
  ASSERT_DONE(s.interrupted("device x: unplugged"));
  EXPECT_EQ(s.state(), TicketState::kInterrupted);
  EXPECT_EQ(s.stages()[0].problem, "device x: unplugged");
  ASSERT_DONE(s.resume());
  EXPECT_EQ(s.state(), TicketState::kScanning);
  EXPECT_EQ(s.stages()[0].problem, "");
  ASSERT_DONE(s.interrupted("again"));
  ASSERT_DONE(s.finish_stage());  // what there is, is enough
  EXPECT_EQ(s.stage_state(kUpper), StageState::kProcessing);
  EXPECT_EQ(s.state(), TicketState::kPaused);
}

TEST(Session, FailedStageBlocksSavingUntilRetriedOrRedone) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.finish());
  ASSERT_DONE(s.stage_failed(kUpper, "nothing was scanned"));
  EXPECT_EQ(s.state(), TicketState::kProcessingFailed);
  EXPECT_FALSE(s.wants_save());
  EXPECT_THAT(s.finish().error().message, HasSubstr("retry, redo or discard"));
  Session redone = s;
  ASSERT_DONE(s.retry(kUpper));
  EXPECT_EQ(s.state(), TicketState::kProcessing);
  ASSERT_DONE(s.stage_done(kUpper));
  EXPECT_TRUE(s.wants_save());
  ASSERT_DONE(redone.redo(kUpper));
  EXPECT_EQ(redone.state(), TicketState::kScanning);
}

TEST(Session, SecondFailedStageKeepsTheTicketFailed) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.start(kLower));
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.finish());
  ASSERT_DONE(s.stage_failed(kUpper, "a"));
  ASSERT_DONE(s.stage_failed(kLower, "b"));
  ASSERT_DONE(s.retry(kUpper));
  ASSERT_DONE(s.stage_done(kUpper));
  EXPECT_EQ(s.state(), TicketState::kProcessingFailed) << "lower still waits for the operator";
  ASSERT_DONE(s.retry(kLower));
  ASSERT_DONE(s.stage_done(kLower));
  EXPECT_TRUE(s.wants_save());
}

TEST(Session, FailedSaveIsRetriedByFinish) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.stage_done(kUpper));
  ASSERT_DONE(s.finish());
  ASSERT_DONE(s.save_failed());
  EXPECT_EQ(s.state(), TicketState::kProcessingFailed);
  ASSERT_DONE(s.finish());
  EXPECT_TRUE(s.wants_save());
}

TEST(Session, RedoOfADoneStageKeepsTheOthers) {
  Session s = fresh(TicketState::kInterrupted, {kUpper, kLower});
  ASSERT_DONE(s.redo(kLower));
  EXPECT_EQ(s.stage_state(kUpper), StageState::kDone);
  EXPECT_EQ(s.stage_state(kLower), StageState::kScanning);
  EXPECT_EQ(s.ticket().revision, 1u) << "nothing was delivered yet";
}

TEST(Session, RedoOfTheStageThatIsScannedBeginsAnew) {
  Session s = scanning_upper();
  ASSERT_DONE(s.pause());
  ASSERT_DONE(s.redo(kUpper));
  EXPECT_EQ(s.stage_state(kUpper), StageState::kScanning);
  EXPECT_EQ(s.state(), TicketState::kScanning);
}

TEST(Session, RedoAfterDeliveryIsTheNextRevision) {
  for (const TicketState state :
       {TicketState::kReady, TicketState::kSending, TicketState::kDelivered}) {
    Session s = fresh(state, {kUpper, kLower});
    ASSERT_DONE(s.redo(kUpper));
    EXPECT_EQ(s.ticket().revision, 2u);
    EXPECT_EQ(s.stage_state(kLower), StageState::kDone);
    ASSERT_DONE(s.finish_stage());
    ASSERT_DONE(s.stage_done(kUpper));
    ASSERT_DONE(s.redo(kUpper));
    EXPECT_EQ(s.ticket().revision, 2u) << "the second revision is not delivered yet";
  }
}

TEST(Session, StopLeavesFinishedStagesAndAnInterruptedTicket) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.stage_done(kUpper));
  ASSERT_DONE(s.start(kLower));
  s.stopped();
  EXPECT_EQ(s.state(), TicketState::kInterrupted);
  EXPECT_EQ(s.stage_state(kUpper), StageState::kDone);
  EXPECT_EQ(s.stage_state(kLower), StageState::kPending);
  ASSERT_DONE(s.start(kLower));
}

TEST(Session, StopLeavesWhatIsOnDiskToBeGoneOnWith) {
  Session s = scanning_upper();
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.start(kLower));
  s.stopped(kLower, {kUpper});
  EXPECT_EQ(s.state(), TicketState::kInterrupted);
  EXPECT_EQ(s.stage_state(kUpper), StageState::kFailed);
  EXPECT_EQ(s.stage_state(kLower), StageState::kInterrupted);
  ASSERT_DONE(s.resume());
  ASSERT_DONE(s.finish_stage());
  ASSERT_DONE(s.retry(kUpper));
}

TEST(Session, CancelIsPossibleUntilSaved) {
  for (int i = 0; i < kTicketStateCount; ++i) {
    const auto state = static_cast<TicketState>(i);
    Session s = fresh(state, {kUpper});
    const bool may = !is_saved(state) && state != TicketState::kCancelled;
    EXPECT_EQ(s.cancel().ok(), may) << to_string(state);
    EXPECT_EQ(s.state(), may ? TicketState::kCancelled : state);
  }
}

// Every command in every reachable situation either does what the ticket's life allows or changes
// nothing.
struct Command {
  const char* name;
  std::function<Result<void>(Session&)> run;
};

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"claim", [](Session& s) { return s.claim(); }},
      {"release", [](Session& s) { return s.release(); }},
      {"start upper", [](Session& s) { return s.start(kUpper); }},
      {"start lower", [](Session& s) { return s.start(kLower); }},
      {"redo upper", [](Session& s) { return s.redo(kUpper); }},
      {"redo lower", [](Session& s) { return s.redo(kLower); }},
      {"pause", [](Session& s) { return s.pause(); }},
      {"resume", [](Session& s) { return s.resume(); }},
      {"finish_stage", [](Session& s) { return s.finish_stage(); }},
      {"retry upper", [](Session& s) { return s.retry(kUpper); }},
      {"retry lower", [](Session& s) { return s.retry(kLower); }},
      {"finish", [](Session& s) { return s.finish(); }},
      {"cancel", [](Session& s) { return s.cancel(); }},
      {"interrupted", [](Session& s) { return s.interrupted("gone"); }},
      {"upper done", [](Session& s) { return s.stage_done(kUpper); }},
      {"lower done", [](Session& s) { return s.stage_done(kLower); }},
      {"upper failed", [](Session& s) { return s.stage_failed(kUpper, "no"); }},
      {"lower failed", [](Session& s) { return s.stage_failed(kLower, "no"); }},
      {"save_failed", [](Session& s) { return s.save_failed(); }},
      {"saved", [](Session& s) { return s.saved(); }},
      {"stopped",
       [](Session& s) -> Result<void> {
         s.stopped();
         return {};
       }},
  };
  return all;
}

std::string situation(const Session& s) {
  std::string text(to_string(s.state()));
  for (const StageProgress& one : s.stages())
    text += fmt::format(" {}={}", to_string(one.stage), to_string(one.state));
  return text;
}

TEST(Session, EveryReachableSituationIsSound) {
  std::map<std::string, Session> seen;
  std::vector<Session> open = {fresh()};
  seen.emplace(situation(open[0]), open[0]);
  int refused = 0;
  while (!open.empty()) {
    const Session from = open.back();
    open.pop_back();
    for (const Command& command : commands()) {
      Session next = from;
      const auto result = command.run(next);
      if (!result.ok()) {
        ++refused;
        EXPECT_EQ(situation(next), situation(from))
            << command.name << " was refused but changed it";
        EXPECT_FALSE(result.error().message.empty());
        continue;
      }
      int current = 0;
      for (const StageProgress& one : next.stages())
        current += one.state == StageState::kScanning || one.state == StageState::kPaused ||
                           one.state == StageState::kInterrupted
                       ? 1
                       : 0;
      EXPECT_LE(current, 1) << situation(next);
      // The ticket is "scanning" exactly while a stage is.
      const bool stage_runs =
          next.current() && next.stage_state(*next.current()) == StageState::kScanning;
      EXPECT_EQ(next.state() == TicketState::kScanning, stage_runs)
          << situation(from) << " -> " << command.name << " -> " << situation(next);
      Session saved = next;
      EXPECT_EQ(saved.saved().ok(), next.wants_save()) << situation(next);
      if (seen.emplace(situation(next), next).second) open.push_back(next);
    }
  }
  EXPECT_GT(seen.size(), 40u);
  EXPECT_GT(refused, 0);

  // No dead end: from everywhere but the cancelled ticket some way leads to "saved".
  std::set<std::string> leads;
  for (bool grew = true; grew;) {
    grew = false;
    for (const auto& [name, session] : seen) {
      if (leads.contains(name)) continue;
      bool reaches = is_saved(session.state());
      for (const Command& command : commands()) {
        Session next = session;
        if (command.run(next).ok()) reaches = reaches || leads.contains(situation(next));
      }
      if (reaches) grew = leads.insert(name).second || grew;
    }
  }
  for (const auto& [name, session] : seen)
    EXPECT_EQ(leads.contains(name), session.state() != TicketState::kCancelled)
        << name << ": can it still be saved?";
}

}  // namespace
}  // namespace cusp::daemon
