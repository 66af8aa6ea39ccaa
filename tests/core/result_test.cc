#include "core/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace cusp {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return error(ErrorCode::kInvalidArgument, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  CUSP_ASSIGN(const int first, half(number));
  CUSP_ASSIGN(const int second, half(first));
  return second;
}

Result<void> needs_even(int number) {
  CUSP_TRY(half(number));
  return {};
}

TEST(Result, carries_a_value_or_the_first_error) {
  EXPECT_EQ(*quarter(8), 2);
  const Result<int> failed = quarter(6);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message, "3 is odd");
  EXPECT_TRUE(needs_even(4).ok());
  EXPECT_EQ(needs_even(5).error().message, "5 is odd");
}

TEST(Result, moves_values_that_cannot_be_copied) {
  Result<std::unique_ptr<int>> made = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(made).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, reading_the_value_of_an_error_ends_the_process_with_its_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)half(3).value(), "3 is odd");
}

TEST(ErrorCode, every_code_has_its_own_name) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kCancelled); ++code)
    names.insert(to_string(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::kCancelled) + 1);
}

}  // namespace
}  // namespace cusp
