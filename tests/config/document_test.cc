#include "config/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cusp::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  const auto result = parse_document(text, "f.yaml");
  return result.ok() ? "accepted" : result.error().message;
}

TEST(Document, FlattensNestedMapsWithTheirLines) {
  const auto entries =
      parse_document("# head\nstore:\n  endpoint: tcp://a:1  # note\n\"two words\": 'x: y'\n", "f");
  ASSERT_TRUE(entries.ok()) << entries.error().message;
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_THAT((*entries)[0].path, ElementsAre("store", "endpoint"));
  EXPECT_EQ((*entries)[0].text, "tcp://a:1");
  EXPECT_EQ((*entries)[0].line, 3);
  EXPECT_THAT((*entries)[1].path, ElementsAre("two words"));
  EXPECT_EQ((*entries)[1].text, "x: y");
  EXPECT_EQ((*entries)[1].line, 4);
}

TEST(Document, KeyWithoutValueIsEmpty) {
  const auto entries = parse_document("a:\nb: ~\nc: \"\"\n", "f");
  ASSERT_TRUE(entries.ok());
  for (const Entry& entry : *entries) EXPECT_EQ(entry.text, "");
}

TEST(Document, RefusesWhatAFileOfSettingsDoesNotNeed) {
  EXPECT_EQ(refusal("a: 1\nb: [1, 2]\n"), "f.yaml:2: b is a list: no key takes one");
  EXPECT_EQ(refusal("- a\n"), "f.yaml:1: a list: expected keys and values");
  EXPECT_EQ(refusal("just words\n"), "f.yaml:1: not a key with a value: expected \"key: value\"");
  EXPECT_EQ(refusal("a: 1\n\na: 2\n"), "f.yaml:3: a is set twice: keep one");
  EXPECT_EQ(refusal("g:\n  a: 1\n  a: 1\n"), "f.yaml:3: g.a is set twice: keep one");
  EXPECT_EQ(refusal("a: 1\nsectoin: {}\n"),
            "f.yaml:2: sectoin holds nothing: write its keys, or leave it out");
  EXPECT_THAT(refusal("a: &x 1\nb: *x\n"), HasSubstr("f.yaml:1: anchors"));
  EXPECT_THAT(refusal("a: *x\n"), HasSubstr("f.yaml:1:"));
  EXPECT_THAT(refusal("a: !!int 3\n"), HasSubstr("f.yaml:1: tags"));
  EXPECT_THAT(refusal("a: 1\n---\nb: 1\n"), HasSubstr("more than one document"));
  EXPECT_THAT(refusal("{a: 1}: 2\n"), HasSubstr("f.yaml:1: a key must be"));
}

TEST(Document, EntityBombEndsAtItsFirstAnchor) {
  std::string bomb = "a0: &a0 {x: lol}\n";
  for (int i = 1; i < 50; ++i) bomb += fmt::format("a{}: &a{} [*a{}, *a{}]\n", i, i, i - 1, i - 1);
  EXPECT_THAT(refusal(bomb), HasSubstr("f.yaml:1: anchors"));
}

TEST(Document, EmptyFilesSaySo) {
  EXPECT_THAT(refusal(""), HasSubstr("the file is empty"));
  EXPECT_THAT(refusal("# only a comment\n\n"), HasSubstr("f.yaml"));
  EXPECT_NE(refusal("# only a comment\n\n"), "accepted");
}

TEST(Document, RefusesBytesThatAreNotText) {
  EXPECT_THAT(refusal("a: 1\nb: \xff\xfe\n"), HasSubstr("f.yaml:2: not UTF-8"));
  EXPECT_THAT(refusal(std::string_view("a: 1\nb: \0\n", 10)), HasSubstr("f.yaml:2: a zero byte"));
}

TEST(Document, RefusesTooDeepAndTooLarge) {
  std::string deep;
  for (int i = 0; i < 9; ++i) deep += std::string(static_cast<std::size_t>(2 * i), ' ') + "k:\n";
  deep += std::string(18, ' ') + "v: 1\n";
  EXPECT_THAT(refusal(deep), HasSubstr("nested deeper than 8"));
  EXPECT_NE(refusal(std::string(200000, '{')), "accepted");
  EXPECT_NE(refusal(std::string(200000, '[')), "accepted");
  EXPECT_THAT(refusal(std::string(300 * 1024, '#')), HasSubstr("at most"));
}

TEST(Document, BrokenYamlNamesTheLine) {
  EXPECT_THAT(refusal("a: 1\nb: \"open\n"), HasSubstr("f.yaml:2: not valid YAML"));
  EXPECT_THAT(refusal("a: 1\nb: 'open\nc: 2\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(refusal("a: 1\n  b: 2\n"), HasSubstr("f.yaml:2: not valid YAML"));
  EXPECT_THAT(refusal("a:\tb: c: d\n\t- x"), HasSubstr("f.yaml:"));
}

// Any cut of a good file is read or refused, and never ends the process.
TEST(Document, EveryPrefixIsAnsweredWithAValueOrAnError) {
  const std::string good =
      "store:\n  endpoint: \"tcp://a:1\"\nprofiles:\n  'R D405': {stream: {width_px: 3}}\n";
  for (std::size_t size = 0; size <= good.size(); ++size) {
    const auto result = parse_document(std::string_view(good).substr(0, size), "f");
    EXPECT_TRUE(result.ok() || result.error().message.starts_with("f:")) << size;
  }
}

}  // namespace
}  // namespace cusp::config
