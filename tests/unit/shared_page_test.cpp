// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/shared_page.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include <doctest/doctest.h>

using namespace pci;

namespace {

/// A page that a guest has filled with noise.
struct guest_page {
  alignas(8) std::array<unsigned char, wire::page_size> bytes;

  guest_page() { bytes.fill(0xa5); }
  std::uint32_t get(std::size_t at) const {
    std::uint32_t value = 0;
    std::memcpy(&value, &bytes[at], sizeof value);
    return value;
  }
  void set(std::size_t at, std::uint32_t value) { std::memcpy(&bytes[at], &value, sizeof value); }
  void set_entry(std::size_t i, std::uint16_t vector, std::uint16_t entry) {
    set(40 + 4 * i, static_cast<std::uint32_t>(entry) << 16 | vector);
  }
  void ask(op_code code, std::uint32_t value) {
    set(4, static_cast<std::uint32_t>(code));
    set(32, value);
    set(0, get(0) | wire::frontend_active);
  }
  /// The offsets at which the page differs from an older self.
  std::set<std::size_t> changes_since(const guest_page& before) const {
    std::set<std::size_t> at;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      if (bytes[i] != before.bytes[i])
        at.insert(i);
    return at;
  }
};

std::set<std::size_t> range(std::size_t first, std::size_t size) {
  std::set<std::size_t> all;
  for (std::size_t i = 0; i < size; ++i)
    all.insert(first + i);
  return all;
}

/// An enable_msix for `n` vectors, entries 7, 8, 9, ...
guest_page msix_page(std::uint32_t n) {
  guest_page page;
  page.ask(op_code::enable_msix, n);
  for (std::size_t i = 0; i < wire::max_vectors; ++i)
    page.set_entry(i, 0xa5a5, static_cast<std::uint16_t>(7 + i));
  return page;
}

} // namespace

TEST_CASE("shared page: flags are read bit by bit") {
  guest_page page;
  const shared_page shared{page.bytes.data()};
  for (std::uint32_t flags = 0; flags < 8; ++flags) {
    page.set(0, flags | 0xfffffff8);
    CHECK(shared.active() == ((flags & 1) != 0));
    CHECK(shared.has_aer_handler() == ((flags & 2) != 0));
  }
}

TEST_CASE("shared page: take copies each member from its offset and changes nothing") {
  guest_page page;
  for (std::uint32_t at = 4; at < 552; at += 4)
    page.set(at, 0x01000000 + at);
  page.set(4, 1);
  const guest_page before = page;
  const auto [key, what] = shared_page{page.bytes.data()}.take();
  CHECK(key.cmd == 1);
  CHECK(key.domain == 0x0100000c);
  CHECK(key.bus == 0x01000010);
  CHECK(key.devfn == 0x01000014);
  CHECK(key.offset == 0x01000018);
  CHECK(key.size == 0x0100001c);
  CHECK(key.value == 0x01000020);
  CHECK(what.code == 1);
  CHECK(what.offset == key.offset);
  CHECK(what.size == key.size);
  CHECK(what.value == key.value);
  CHECK(what.entries.empty());
  CHECK(page.changes_since(before).empty());
}

TEST_CASE("shared page: entries are taken for enable_msix alone, at most 128") {
  for (const std::uint32_t code : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 9U, 10U, 0xffffffffU})
    for (const std::uint32_t n : {0U, 1U, 127U, 128U, 129U, 0x80000000U, 0xffffffffU}) {
      guest_page page = msix_page(n);
      page.set(4, code);
      const auto what = shared_page{page.bytes.data()}.take().what;
      CHECK(what.code == code);
      CHECK(what.value == n);
      REQUIRE(what.entries.size() == (code == 4 ? std::min(n, 128U) : 0));
      for (std::size_t i = 0; i < what.entries.size(); ++i)
        CHECK(what.entries[i] == 7 + i);
    }
}

TEST_CASE("shared page: negative offsets and sizes arrive as they are") {
  guest_page page;
  page.set(24, 0x80000000);
  page.set(28, 0xffffffff);
  const auto what = shared_page{page.bytes.data()}.take().what;
  CHECK(what.offset == std::numeric_limits<std::int32_t>::min());
  CHECK(what.size == -1);
}

TEST_CASE("shared page: an answer changes err, value and the flag, and no other byte") {
  guest_page page;
  page.ask(op_code::conf_read, 0xa5a5a5a5);
  shared_page shared{page.bytes.data()};
  const auto taken = shared.take();
  const guest_page before = page;
  CHECK(shared.publish(taken.key, {.error = op_error::dev_not_found, .value = 0x11223344, .vectors = {1, 2}}));
  auto expected = range(8, 4);
  expected.merge(range(32, 4));
  expected.insert(0);
  CHECK(page.changes_since(before) == expected);
  CHECK(page.get(8) == 0xffffffff);
  CHECK(page.get(32) == 0x11223344);
  CHECK(page.get(0) == 0xa5a5a5a4); // the other 31 flags are as they were
}

TEST_CASE("shared page: every error number goes out as the wire has it") {
  for (std::int32_t error = 0; error >= -5; --error) {
    guest_page page;
    page.ask(op_code::conf_write, 0);
    shared_page shared{page.bytes.data()};
    CHECK(shared.publish(shared.take().key, {.error = static_cast<op_error>(error), .value = 0, .vectors = {}}));
    CHECK(static_cast<std::int32_t>(page.get(8)) == error);
  }
}

TEST_CASE("shared page: vectors go out for a successful enable_msix, entries stay") {
  guest_page page = msix_page(3);
  shared_page shared{page.bytes.data()};
  const auto taken = shared.take();
  const guest_page before = page;
  CHECK(shared.publish(taken.key, {.error = op_error::success, .value = 0, .vectors = {55, 54, 53}}));
  CHECK(page.get(40) == (7U << 16 | 55));
  CHECK(page.get(44) == (8U << 16 | 54));
  CHECK(page.get(48) == (9U << 16 | 53));
  std::set<std::size_t> expected{0, 32, 40, 41, 44, 45, 48, 49};
  expected.merge(range(8, 4));
  CHECK(page.changes_since(before) == expected);
}

TEST_CASE("shared page: no vector goes out for a failure, for another operation, or beyond those asked for") {
  const std::vector<std::uint16_t> many(300, 9);
  const auto vectors_after = [&](guest_page page, op_error error) {
    shared_page shared{page.bytes.data()};
    const guest_page before = page;
    CHECK(shared.publish(shared.take().key, {.error = error, .value = 0, .vectors = many}));
    const auto changed = page.changes_since(before);
    return std::count_if(changed.begin(), changed.end(), [](std::size_t at) { return at >= 36; });
  };
  CHECK(vectors_after(msix_page(3), op_error::op_failed) == 0);
  guest_page other = msix_page(3);
  other.set(4, 2);
  CHECK(vectors_after(other, op_error::success) == 0);
  CHECK(vectors_after(msix_page(3), op_error::success) == 6);
  CHECK(vectors_after(msix_page(0xffffffff), op_error::success) == 256);
}

TEST_CASE("shared page: an answer that comes too late touches nothing") {
  guest_page page = msix_page(3);
  shared_page shared{page.bytes.data()};
  const auto taken = shared.take();
  const answer late{.error = op_error::success, .value = 0, .vectors = {1, 2, 3}};

  SUBCASE("the guest has cleared the flag") { page.set(0, page.get(0) & ~1U); }
  SUBCASE("another operation") { page.set(4, 0); }
  SUBCASE("another segment") { page.set(12, 0); }
  SUBCASE("another bus") { page.set(16, 0); }
  SUBCASE("another function") { page.set(20, 0); }
  SUBCASE("another offset") { page.set(24, 0); }
  SUBCASE("another size") { page.set(28, 0); }
  SUBCASE("another value") { page.set(32, 4); }
  SUBCASE("other entries") { page.set_entry(2, 0xa5a5, 12); }
  SUBCASE("the same entries in another order") {
    page.set_entry(0, 0xa5a5, 8);
    page.set_entry(1, 0xa5a5, 7);
  }
  const guest_page before = page;
  CHECK(!shared.publish(taken.key, late));
  CHECK(page.changes_since(before).empty());
}

TEST_CASE("shared page: the rest of the page is no part of an operation") {
  guest_page page = msix_page(3);
  shared_page shared{page.bytes.data()};
  const auto taken = shared.take();
  page.set(8, 1);
  page.set(36, 2);
  page.set_entry(0, 77, 7);
  page.set_entry(3, 77, 99);
  page.set(552, 3);
  page.set(4092, 4);
  CHECK(shared.publish(taken.key, {.error = op_error::success, .value = 0, .vectors = {1, 2, 3}}));
}

TEST_CASE("shared page: an answer is given once") {
  guest_page page;
  page.ask(op_code::conf_read, 0);
  shared_page shared{page.bytes.data()};
  const auto taken = shared.take();
  CHECK(shared.publish(taken.key, {}));
  CHECK(!shared.active());
  CHECK(!shared.publish(taken.key, {}));
}
