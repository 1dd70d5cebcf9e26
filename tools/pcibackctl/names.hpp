// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace client_program {

/// What a card is called, by its vendor and device as JSON has them ("8086", "10d3"); empty: nobody knows.
using card_namer = std::function<std::string(const std::string& vendor, const std::string& device)>;

/// Short enough for a table: "Intel 82574L Gigabit Network Connection". Of the vendor its first name, without the form
/// of the company; of the device what stands in brackets, where that is what it is sold as.
[[nodiscard]] std::string short_name(std::string_view vendor, std::string_view device);

/// Looks into pci.ids, by libpci. Without that file all names are empty. `list`: another file than libpci's own.
[[nodiscard]] card_namer pci_ids(const std::string& list = {});

} // namespace client_program
