// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pci/result.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/view.hpp"

/// Whether a host can do what it is wanted for. Everything here only looks.
namespace client_program {

enum class finding : unsigned char {
  good,
  note,    ///< worth knowing
  warning, ///< something works less well than it might
  problem, ///< something does not work
};
struct check {
  std::string what; ///< "IOMMU", "0000:03:00.0"
  finding found = finding::good;
  std::string text; ///< one line: what is so, and how to mend it
};
using checks = std::vector<check>;

/// What the kernel's files below `root` say: Xen, dom0, modules, sleep.
[[nodiscard]] checks look_at_host(const std::filesystem::path& root);
/// What Xen itself says, through this machine's own nodes: the IOMMU, and how many vectors a guest may have.
[[nodiscard]] checks look_at_xen();
/// The file of settings, and for each function that it names by its address what the files below `root` say of it.
[[nodiscard]] checks look_at_settings(const std::filesystem::path& root, const std::filesystem::path& file);
/// The daemon, and each function that it holds, or should hold, by its own account. `version`: this program's.
[[nodiscard]] checks look_at_daemon(const std::string& socket, const std::string& version, const patience& how);
/// What the daemon's account of one function (the result of `explain`) comes to.
[[nodiscard]] checks checks_of(const std::string& explanation);

[[nodiscard]] bool has_problem(const checks& all);
/// As a table, with a line at its end that counts.
[[nodiscard]] std::string doctor_text(const checks& all, const view& how = {});
/// {"checks":[{"what":...,"found":"problem","text":...}],"problems":1,"warnings":0} and the end of the line.
[[nodiscard]] std::string doctor_json(const checks& all);

} // namespace client_program
