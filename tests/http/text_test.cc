#include "http/text.h"

#include <gtest/gtest.h>

namespace cusp::http {
namespace {

TEST(Target, DecodesPathAndQuery) {
  const auto target = parse_target("/tickets/a%20b?name=J%C3%BCrgen+K&empty=&flag&name=second");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/tickets/a b");
  EXPECT_EQ(target->query.at("name"), "J\xC3\xBCrgen K");
  EXPECT_EQ(target->query.at("empty"), "");
  EXPECT_EQ(target->query.at("flag"), "");
}

TEST(Target, RefusesWhatTwoReadersWouldReadDifferently) {
  for (const char* bad : {"", "*", "http://elsewhere/", "/a%2Fb", "/a%2fb", "/a%", "/a%4", "/a%zz",
                          "/a%00b", "/a%0d%0aSet-Cookie:x", "/?q=%", "/\x7f"})
    EXPECT_FALSE(parse_target(bad).ok()) << bad;
}

TEST(FilePart, FollowsTheRangeRules) {
  const auto part = [](std::string_view header) {
    const auto chosen = choose_part(header, 1000);
    return std::tuple(chosen.kind, chosen.offset, chosen.size_bytes);
  };
  using Kind = FilePart::Kind;
  EXPECT_EQ(part(""), std::tuple(Kind::kWhole, 0u, 1000u));
  EXPECT_EQ(part("bytes=0-0"), std::tuple(Kind::kPart, 0u, 1u));
  EXPECT_EQ(part("bytes=100-199"), std::tuple(Kind::kPart, 100u, 100u));
  EXPECT_EQ(part("bytes=900-"), std::tuple(Kind::kPart, 900u, 100u));
  EXPECT_EQ(part("bytes=900-99999999999"), std::tuple(Kind::kPart, 900u, 100u));
  EXPECT_EQ(part("bytes=-10"), std::tuple(Kind::kPart, 990u, 10u));
  EXPECT_EQ(part("bytes=-5000"), std::tuple(Kind::kPart, 0u, 1000u));
  EXPECT_EQ(part("bytes=1000-"), std::tuple(Kind::kUnsatisfiable, 0u, 0u));
  EXPECT_EQ(part("bytes=-0"), std::tuple(Kind::kUnsatisfiable, 0u, 0u));
  for (const char* unreadable : {"bytes=5-4", "bytes=0-1,5-6", "bytes=a-b", "bytes=--1",
                                 "lines=0-1", "bytes=99999999999999999999999-", "bytes="})
    EXPECT_EQ(part(unreadable), std::tuple(Kind::kWhole, 0u, 1000u)) << unreadable;
}

TEST(FilePart, OfAnEmptyFileIsNeverSatisfiable) {
  EXPECT_EQ(choose_part("bytes=0-", 0).kind, FilePart::Kind::kUnsatisfiable);
  EXPECT_EQ(choose_part("bytes=-1", 0).kind, FilePart::Kind::kUnsatisfiable);
  EXPECT_EQ(choose_part("", 0).size_bytes, 0u);
}

TEST(Cookie, IsFoundByItsWholeNameAlone) {
  EXPECT_EQ(cookie_value("a=1; cusp=2;b=3", "cusp"), "2");
  EXPECT_EQ(cookie_value("cusp2=9; cusp=2", "cusp"), "2");
  EXPECT_EQ(cookie_value("xcusp=9", "cusp"), std::nullopt);
  EXPECT_EQ(cookie_value("cusp", "cusp"), std::nullopt);
  EXPECT_EQ(cookie_value("", "cusp"), std::nullopt);
}

TEST(LoopbackHost, IsTheThreeNamesOfThisMachine) {
  for (const char* good :
       {"127.0.0.1", "127.0.0.1:8480", "localhost", "localhost:1", "[::1]", "[::1]:80"})
    EXPECT_TRUE(is_loopback_host(good)) << good;
  for (const char* bad : {"", ":", ":80", "clinic.example", "127.0.0.1.example", "localhost:99999",
                          "localhost:", "localhost:x", "127.0.0.2", "::1", "[::1", "a@localhost"})
    EXPECT_FALSE(is_loopback_host(bad)) << bad;
}

TEST(ConstantTime, ComparesWholeTexts) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_FALSE(equal_in_constant_time("", "a"));
}

}  // namespace
}  // namespace cusp::http
