// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "fuzz/model/blueprint.hpp"
#include "fuzz/model/hardware.hpp"
#include "pci/policy.hpp"

namespace model {

/// `err` of the shared page; 0 is success.
inline constexpr int not_found = -1, bad_offset = -2, denied = -3, unknown_operation = -4, failed = -5;
/// What the guest is told of a failure of the hardware.
[[nodiscard]] constexpr int told_of(int error) { return error == 0 ? 0 : error == ENODEV ? not_found : failed; }

/// Of what is on: the line, MSI or MSI-X.
enum class messages : std::uint8_t { none, msi, msix };

/// What a guest reads and writes, byte by byte. The order of the registers is that in which a write reaches them.
class predicted_space {
public:
  struct outcome {
    int error = 0;
    std::uint32_t value = 0;
  };

  predicted_space(const blueprint& plan, const pci::policy& policy, hardware& to);

  [[nodiscard]] outcome read(std::int32_t offset, std::int32_t size);
  [[nodiscard]] outcome write(std::int32_t offset, std::int32_t size, std::uint32_t value);
  /// The next guest.
  void reset(const pci::policy& policy);
  void set_policy(const pci::policy& policy);
  /// What a reset of the card has lost of the guest's COMMAND is put back. errno.
  [[nodiscard]] int renew_command();
  /// What a guest must not find on is switched off. errno.
  [[nodiscard]] int prepare();

  messages on = messages::none; ///< of the daemon's doing
  // What a restarted daemon has to know.
  std::uint16_t command = 0;
  bool decoding = false;
  std::uint8_t sizing = 0;
  std::uint64_t dropped = 0;

private:
  enum class rule : std::uint8_t { ignored, plain, command, status, bist, base, vpd, power, msi, msix };
  struct reg {
    unsigned offset = 0, width = 0;
    rule what = rule::ignored;
    std::uint32_t mask = 0xffffffff; ///< plain: what may be changed
    unsigned index = 0;              ///< base
  };
  /// A BAR's, or the ROM's, register.
  struct base {
    std::uint32_t value = 0, sizes = 0, type = 0;
  };
  /// A byte as a guest reads it, where the hardware has no say.
  struct known {
    bool is = false;
    std::uint8_t value = 0;
  };

  void build_header();
  void build_bases();
  void build_capabilities(const pci::policy& policy);
  void build_capability(const capability& what);
  void fix(unsigned offset, unsigned width, std::uint32_t value);
  void add(unsigned offset, unsigned width, rule what, unsigned index = 0);
  void open(const pci::quirk& what);

  [[nodiscard]] bool malformed(std::int32_t offset, std::int32_t size) const;
  void look(unsigned at, std::uint8_t& mask, std::uint8_t& value) const;
  [[nodiscard]] int view(unsigned offset, unsigned width, std::uint32_t& into);

  [[nodiscard]] int write_register(const reg& what, unsigned offset, unsigned width, std::uint32_t value);
  [[nodiscard]] int write_plain(const reg& what, unsigned offset, unsigned width, std::uint32_t value);
  [[nodiscard]] int write_whole(const reg& what, std::uint32_t value);
  [[nodiscard]] int write_command(std::uint32_t value);
  [[nodiscard]] std::uint32_t next_command(std::uint32_t now, std::uint32_t before, std::uint32_t value) const;
  [[nodiscard]] bool has_cache_line();
  [[nodiscard]] int write_bist(std::uint32_t value);
  [[nodiscard]] int write_base(const reg& what, std::uint32_t value);
  [[nodiscard]] int write_power(const reg& what, std::uint32_t value);
  [[nodiscard]] int write_messages(const reg& what, std::uint32_t value);
  [[nodiscard]] int read_surely(unsigned offset, unsigned width, std::uint32_t& into);

  const blueprint& plan_;
  hardware& to_;
  std::vector<known> fixed_;
  std::vector<bool> closed_; ///< bytes that no quirk opens
  std::vector<reg> regs_;    ///< then, from `own_` on, the quirks
  std::size_t own_ = 0;
  std::array<base, 7> bases_;
  std::uint32_t decode_ = 0;
  bool permissive_ = false, controls_ = false;
};

} // namespace model
