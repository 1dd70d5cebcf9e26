// SPDX-License-Identifier: GPL-2.0-or-later
// Xen's security advisories, as far as a value can violate one: each test says which. docs/security.md has all.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/space.hpp"
#include "pci/protocol/shared_page.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using namespace pci;
using test::fake_port;

namespace {

/// All that can be set for a function, but for quirks.
const std::vector<policy>& policies() {
  static const std::vector<policy> all{{},
                                       {.allow_interrupt_control = true},
                                       {.permissive = true},
                                       {.permissive = true, .allow_interrupt_control = true}};
  return all;
}

constexpr std::uint16_t msi_at = 0x50, msi_end = msi_at + 24, express_at = 0xe0;

/// A card whose MSI has everything: 64-bit addresses and a mask for each vector.
function card_with_masks() {
  auto made = test::blank(256, 0x8086, 0x10d3);
  made.irq = 23;
  test::put(made, reg::status, 2, reg::status_capabilities);
  test::put(made, reg::capabilities, 1, msi_at);
  test::put(made, msi_at, 4, 0x01800000U | reg::cap_msi);
  test::put(made, msi_at + 4, 4, 0xfee00000);
  test::put(made, msi_at + 12, 4, 0x4021);
  return made;
}

/// Every write of up to four bytes that touches the registers from `first` up to `last`.
void write_all(space& what, fake_port& port, unsigned first, unsigned last) {
  for (const std::int32_t size : {1, 2, 4})
    for (auto offset = static_cast<std::int32_t>(first & ~3U); offset < static_cast<std::int32_t>(last); offset += size)
      for (const auto value : {0U, 0xffffffffU, 0x0001ffffU, 0x55aa55aaU, 0xaa55aa55U})
        (void)what.write(port, offset, size, value);
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

/// A page of a guest that changes what stands in it after each single access of the backend's: whoever reads a thing
/// twice reads two things. The page is out of reach; an access to it is let through alone, and then it is the guest's
/// turn.
class restless_page {
public:
  explicit restless_page(std::function<void(wire::shared_info&, unsigned)> guest)
      : memory_(::mmap(nullptr, wire::page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
        guest_(std::move(guest)) {
    REQUIRE(memory_ != MAP_FAILED);
    guest_(info(), 0);
    current = this;
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = let_through;
    ::sigaction(SIGSEGV, &action, &old_fault_);
    action.sa_sigaction = take_turn;
    ::sigaction(SIGTRAP, &action, &old_trap_);
    ::mprotect(memory_, wire::page_size, PROT_NONE);
  }
  restless_page(const restless_page&) = delete;
  restless_page& operator=(const restless_page&) = delete;
  ~restless_page() {
    ::sigaction(SIGSEGV, &old_fault_, nullptr);
    ::sigaction(SIGTRAP, &old_trap_, nullptr);
    ::munmap(memory_, wire::page_size);
    current = nullptr;
  }
  [[nodiscard]] void* address() const { return memory_; }
  [[nodiscard]] unsigned accesses() const { return accesses_; }

private:
  static constexpr greg_t single_step = 0x100;

  [[nodiscard]] wire::shared_info& info() const { return *static_cast<wire::shared_info*>(memory_); }
  static greg_t& flags_of(void* context) { return static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL]; }
  static void let_through(int, siginfo_t* what, void* context) {
    auto* at = static_cast<std::byte*>(what->si_addr);
    auto* page = static_cast<std::byte*>(current->memory_);
    if (at < page || at >= page + wire::page_size) { // not ours: it happens again, to whoever was there before
      ::sigaction(SIGSEGV, &current->old_fault_, nullptr);
      return;
    }
    ::mprotect(page, wire::page_size, PROT_READ | PROT_WRITE);
    flags_of(context) |= single_step;
  }
  static void take_turn(int, siginfo_t*, void* context) {
    flags_of(context) &= ~single_step;
    current->guest_(current->info(), ++current->accesses_);
    ::mprotect(current->memory_, wire::page_size, PROT_NONE);
  }

  inline static restless_page* current = nullptr;
  void* memory_;
  std::function<void(wire::shared_info&, unsigned)> guest_;
  struct sigaction old_fault_ {
  }, old_trap_{};
  unsigned accesses_ = 0;
};

constexpr std::uint16_t marked = 0x4000; // each entry that the guest ever wrote

/// What an operation would be in a page that nobody touches.
shared_page::taken calmly(const shared_page::taken& from) {
  static wire::shared_info page;
  page = {};
  page.op.cmd = from.what.code;
  page.op.domain = from.key.domain;
  page.op.bus = from.key.bus;
  page.op.devfn = from.key.devfn;
  page.op.offset = from.what.offset;
  page.op.size = from.what.size;
  page.op.value = from.what.value;
  for (std::size_t i = 0; i < from.what.entries.size(); ++i)
    page.op.msix_entries.at(i).entry = from.what.entries[i];
  return shared_page(&page).take();
}

#endif

} // namespace

TEST_CASE("XSA-126: no value of COMMAND, under any policy, ends decoding, a stub domain's least of all") {
  for (const auto& function : {test::e1000e(), test::nvme(), test::legacy_card()}) {
    for (const auto& policy : policies()) {
      fake_port port(function);
      auto what = space::build(function, policy).value();
      REQUIRE(what.write(port, reg::command, 2, 7).error == op_error::success);
      const auto decoding = port.get(reg::command, 2) & 3;
      REQUIRE(decoding != 0);
      for (std::uint32_t value = 0; value <= 0xffff; ++value) {
        port.accesses.clear();
        (void)what.write(port, reg::command, 2, value);
        (void)what.write(port, reg::command, 1, value & 0xff);
        (void)what.write(port, reg::command, 4, value << 16 | value);
        if ((port.get(reg::command, 2) & 3) != decoding) {
          FAIL_CHECK(value);
        }
      }
    }
  }
}

TEST_CASE("XSA-128: no write that spans MSI's registers reaches its address or its data") {
  for (const auto& policy : policies()) {
    if (policy.permissive) {
      continue; // an administrator has opened what no field covers
    }
    fake_port port(card_with_masks());
    for (unsigned at = msi_at; at < msi_end; at += 4) {
      port.allow(at, 4, 0xffffffff);
    }
    auto what = space::build(card_with_masks(), policy).value();
    write_all(what, port, msi_at, msi_end);
    for (const auto& each : port.writes()) {
      CHECK(each.offset + each.width <= msi_at + 4U);
    }
    CHECK(port.get(msi_at + 4, 4) == 0xfee00000);
    CHECK(port.get(msi_at + 8, 4) == 0);
    CHECK(port.get(msi_at + 12, 4) == 0x4021);
  }
}

TEST_CASE("XSA-129: the masks and the pending bits of MSI are Xen's") {
  for (const std::uint32_t masks : {0U, 0xffffffffU, 0x5U}) {
    auto card = card_with_masks();
    fake_port port(card);
    for (unsigned at = msi_at; at < msi_end; at += 4) {
      port.allow(at, 4, 0xffffffff);
    }
    port.set(msi_at + 16, 4, masks);
    auto what = space::build(card, {.allow_interrupt_control = true}).value();
    write_all(what, port, msi_at + 12, msi_end);
    CHECK(port.get(msi_at + 16, 4) == masks);
    CHECK(port.get(msi_at + 20, 4) == 0);
  }
}

TEST_CASE("XSA-449: no guest switches phantom functions on, and a permissive one's are off for the next") {
  constexpr std::uint16_t device_control = express_at + 8;
  constexpr std::uint32_t phantom_functions = 0x0200;
  auto card = test::e1000e();
  test::put(card, express_at + 4, 4, 0x00008cc8); // it has one more
  for (const auto& policy : policies()) {
    fake_port port(card);
    port.allow(device_control, 2, 0xffff);
    const auto before = port.get(device_control, 2);
    auto what = space::build(card, policy).value();
    write_all(what, port, device_control, device_control + 2U);
    CHECK((port.get(device_control, 2) == before) == !policy.permissive);
    port.set(device_control, 2, before | phantom_functions);
    REQUIRE(restore(card, port, policy.permissive));
    CHECK(port.get(device_control, 2) == before);
  }
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

TEST_CASE("XSA-155: an operation is one operation, whatever the guest changes between two reads of its page") {
  constexpr unsigned ways = 6;
  for (unsigned way = 0; way < ways; ++way) {
    CAPTURE(way);
    restless_page page([way](wire::shared_info& info, unsigned turn) {
      const bool other = (turn + way) % 2 == 1;
      info.flags = wire::frontend_active;
      info.op.cmd = static_cast<std::uint32_t>(other && way > 2 ? op_code::conf_write : op_code::enable_msix);
      info.op.value = other ? 0xffffffffU >> (8 * (way % 3)) : way % 3 == 0 ? 0 : 3;
      info.op.domain = info.op.bus = info.op.devfn = turn;
      info.op.offset = info.op.size = static_cast<std::int32_t>(turn);
      for (std::size_t i = 0; i < wire::max_vectors; ++i)
        info.op.msix_entries[i] = {0, static_cast<std::uint16_t>(marked | ((turn & 0x1f) << 8) | i)};
    });
    shared_page view(page.address());
    const auto got = view.take();
    CHECK(page.accesses() > 1); // or the guest had no turn in between
    const bool has_entries = got.what.code == static_cast<std::uint32_t>(op_code::enable_msix);
    CHECK(got.what.entries.size() == (has_entries ? std::min(got.what.value, wire::max_vectors) : 0));
    for (std::size_t i = 0; i < got.what.entries.size(); ++i) {
      CHECK((got.what.entries[i] & (marked | 0xff)) == (marked | i)); // written by the guest at that place
    }
    // What it is told by later is what was taken.
    CHECK(got.key == calmly(got).key);
    CHECK(calmly(got).what.entries == got.what.entries);
  }
}

TEST_CASE("XSA-155: an answer is for what was read once, also when the guest asks for more meanwhile") {
  constexpr std::int32_t unanswered = 77;
  static wire::shared_info written;
  restless_page page([](wire::shared_info& info, unsigned turn) {
    if (turn == 0) {
      info = {};
      info.flags = wire::frontend_active;
      info.op.cmd = static_cast<std::uint32_t>(op_code::enable_msix);
      info.op.err = unanswered;
      info.op.value = 2;
      for (std::size_t i = 0; i < wire::max_vectors; ++i)
        info.op.msix_entries[i] = {0xbeef, static_cast<std::uint16_t>(i)};
    } else if (info.op.err != unanswered) {
      info.op.value = wire::max_vectors;
    }
    written = info;
  });
  wire::shared_info calm{};
  calm.op.cmd = static_cast<std::uint32_t>(op_code::enable_msix);
  calm.op.value = 2;
  calm.op.msix_entries[1].entry = 1;
  answer given;
  given.vectors.assign(wire::max_vectors, 0x55);
  REQUIRE(shared_page(page.address()).publish(shared_page(&calm).take().key, given));
  for (std::size_t i = 0; i < wire::max_vectors; ++i) {
    CHECK(written.op.msix_entries[i].vector == (i < 2 ? 0x55 : 0xbeef));
  }
}

#endif
