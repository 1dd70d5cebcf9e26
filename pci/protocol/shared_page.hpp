// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pci/address.hpp"
#include "pci/protocol/operations.hpp"

/// The page that a frontend shares with the backend. Source: xen/io/pciif.h; spec section 1.
namespace pci::wire {

inline constexpr std::size_t page_size = 4096;
inline constexpr std::uint32_t max_vectors = 128;     ///< SH_INFO_MAX_VEC
inline constexpr std::uint32_t frontend_active = 0x1; ///< XEN_PCIF_active
inline constexpr std::uint32_t frontend_aer = 0x2;    ///< XEN_PCIB_AERHANDLER
inline constexpr std::uint32_t backend_active = 0x4;  ///< XEN_PCIB_active
inline constexpr const char* magic = "7";             ///< XEN_PCI_MAGIC

struct msix_entry {
  std::uint16_t vector;
  std::uint16_t entry;
};

struct operation {
  std::uint32_t cmd;
  std::int32_t err;
  std::uint32_t domain;
  std::uint32_t bus;
  std::uint32_t devfn;
  std::int32_t offset;
  std::int32_t size;
  std::uint32_t value;
  std::uint32_t info;
  std::array<msix_entry, max_vectors> msix_entries;
};

struct aer_operation {
  std::uint32_t cmd;
  std::int32_t err;
  std::uint32_t domain;
  std::uint32_t bus;
  std::uint32_t devfn;
};

struct shared_info {
  std::uint32_t flags;
  operation op;
  aer_operation aer_op;
};

static_assert(offsetof(shared_info, flags) == 0);
static_assert(offsetof(shared_info, op) == 4);
static_assert(offsetof(shared_info, op.cmd) == 4);
static_assert(offsetof(shared_info, op.err) == 8);
static_assert(offsetof(shared_info, op.domain) == 12);
static_assert(offsetof(shared_info, op.bus) == 16);
static_assert(offsetof(shared_info, op.devfn) == 20);
static_assert(offsetof(shared_info, op.offset) == 24);
static_assert(offsetof(shared_info, op.size) == 28);
static_assert(offsetof(shared_info, op.value) == 32);
static_assert(offsetof(shared_info, op.info) == 36);
static_assert(offsetof(shared_info, op.msix_entries) == 40);
static_assert(sizeof(msix_entry) == 4 && offsetof(msix_entry, entry) == 2);
static_assert(offsetof(shared_info, aer_op) == 552);
static_assert(offsetof(shared_info, aer_op.err) == 556);
static_assert(offsetof(shared_info, aer_op.domain) == 560);
static_assert(offsetof(shared_info, aer_op.bus) == 564);
static_assert(offsetof(shared_info, aer_op.devfn) == 568);
static_assert(sizeof(shared_info) == 572 && sizeof(operation) == 548 && sizeof(aer_operation) == 20);

} // namespace pci::wire

namespace pci {

/// The backend's end of the shared page. The page is the guest's to scribble on: an operation is copied out once and
/// only the copy is looked at; only err, value and granted vectors go back; the flag is touched by atomic operations
/// alone. Does not own the memory: it must stay mapped while this exists.
class shared_page {
public:
  /// What identifies the operation in flight and is compared again before an answer is written.
  struct ticket {
    std::uint32_t cmd = 0, domain = 0, bus = 0, devfn = 0;
    std::int32_t offset = 0, size = 0;
    std::uint32_t value = 0;
    std::uint32_t entries = 0; ///< enable_msix: a digest of the entry numbers asked for
    friend bool operator==(const ticket&, const ticket&) = default;
  };
  struct taken {
    ticket key;
    request what;
  };

  /// `page` points to 4096 bytes, aligned to 4.
  explicit shared_page(void* page);

  /// True while XEN_PCIF_active is set (acquire).
  [[nodiscard]] bool active() const;
  /// True while the guest claims an AER handler.
  [[nodiscard]] bool has_aer_handler() const;
  /// Copies the operation out, once.
  [[nodiscard]] taken take() const;
  /// Writes the answer, release fence, clears XEN_PCIF_active. Returns false, having touched nothing, when the flag is
  /// no longer set or the page holds another operation: the guest gave up on this one (spec 2.3, 12.1 number 15).
  bool publish(const ticket& key, const answer& answer);

private:
  wire::shared_info* info_;
};

} // namespace pci
