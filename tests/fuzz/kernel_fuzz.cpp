// SPDX-License-Identifier: GPL-2.0-or-later
// What dom0's kernel tells: uevents, trace records, files of sysfs and procfs, the firmware's DMAR table. A card, or
// who can write these files, has a say in some of it; none of it crashes the daemon or is taken for what it is not.
#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "fuzz/support/input.hpp"
#include "pci/dmar.hpp"
#include "pci/failure_kind.hpp"
#include "pci/protocol/guard_messages.hpp"
#include "pci/selector.hpp"
#include "platform/linux/error_trace.hpp"
#include "platform/linux/function_inventory.hpp"
#include "platform/linux/line_interrupts.hpp"
#include "platform/linux/pci_host.hpp"
#include "platform/linux/uevents.hpp"

namespace {

using fuzz::require;
using namespace platform::linux_host;

bool within(std::string_view part, std::string_view whole) { return whole.find(part) != std::string_view::npos; }

void check_uevent(std::string_view text) {
  const auto event = parse_uevent(text);
  if (!event)
    return;
  constexpr std::array<std::string_view, 5> words{"ACTION=add", "ACTION=remove", "ACTION=bind", "ACTION=unbind",
                                                  "ACTION=change"};
  require(within(words.at(static_cast<std::size_t>(event->what)), text) && within("SUBSYSTEM=pci", text),
          "an event is the one that stands there");
}

void check_trace(std::string_view text) {
  const auto error = parse_traced_error(text);
  if (!error)
    return;
  require(within("aer_event: ", text) && within(error->status, text), "an error is the one that stands there");
  pci::error_tally tally{.address = error->address};
  tally.add(error->severity, error->status);
  require(tally.corrected + tally.nonfatal + tally.fatal == 1, "an error is counted once");
}

void check_resources(std::string_view text) {
  const auto found = parse_resources(text);
  if (!found)
    return;
  std::string written;
  for (const auto& each : *found) {
    std::array<char, 80> line{};
    written.append(line.data(),
                   static_cast<std::size_t>(std::snprintf(line.data(), line.size(), "0x%016llx 0x%016llx 0x%016llx\n",
                                                          static_cast<unsigned long long>(each.start),
                                                          static_cast<unsigned long long>(each.end),
                                                          static_cast<unsigned long long>(each.flags))));
  }
  require(parse_resources(written) == found, "resources are read as the kernel writes them");
}

void check_files(std::string_view text) {
  check_resources(text);
  std::string names;
  const auto handlers = count_handlers(text, &names);
  require(handlers > 0 || names.empty(), "names are handlers'");
  static_cast<void>(parse_counts(text));
  if (const auto number = parse_number(text))
    require(parse_number(std::to_string(*number)) == number, "a number is read again");
  const auto trimmed = trim(text);
  require(trim(trimmed) == trimmed && within(trimmed, text), "what is trimmed is trimmed");
}

/// The keeper of the guards and the daemon tell each other lines. A number may have zeros before it, and is written
/// without them.
void check_guard(std::string_view text) {
  if (const auto request = pci::parse_guard_request(text)) {
    const auto written = pci::to_text(*request);
    const auto again = pci::parse_guard_request(written);
    require(again && pci::to_text(*again) == written && text.size() <= pci::guard_packet_size,
            "a request is read again");
  }
  if (const auto news = pci::parse_guard_news(text)) {
    const auto written = pci::to_text(*news);
    const auto again = pci::parse_guard_news(written);
    require(again && pci::to_text(*again) == written && text.size() <= pci::guard_packet_size, "news are read again");
  }
}

void check_firmware(std::string_view text) {
  const auto behind = [](const pci::sbdf& bridge) {
    return bridge.function() == 7 ? std::nullopt : std::optional(static_cast<std::uint8_t>(bridge.bus + 1));
  };
  const std::span bytes{text.data(), text.size()};
  for (const auto& each : pci::read_reserved_regions(std::as_bytes(bytes), behind))
    require(!each.functions.empty() && each.functions.size() * 6 <= text.size(), "a region is somebody's");
}

/// What is read is written, and read again; what cannot be read is told in one short line that a terminal can show.
template <class T, class Read, class Write>
void check_both_ways(const pci::result<T>& found, Read read, Write write) {
  if (found) {
    require(read(write(*found)) == found, "what an administrator writes is shown as it is read");
    return;
  }
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  require(found.error().error == EINVAL && found.error().context.size() < 300 &&
              std::ranges::all_of(found.error().context, printable),
          "what is wrong is told in one line");
}

/// What an administrator names functions and registers by.
void check_selectors(std::string_view text) {
  const pci::identity card{pci::make_sbdf(0, 3, 0, 0), 0x8086, 0x10d3, 0x020000};
  const auto shown = [](const auto& what) { return pci::to_string(what); };
  check_both_ways(pci::parse_ids(text), pci::parse_ids, shown);
  check_both_ways(pci::parse_class(text), pci::parse_class, shown);
  check_both_ways(pci::parse_quirk(text), pci::parse_quirk, shown);
  check_both_ways(pci::parse_serial(text), pci::parse_serial, pci::serial_to_string);
  check_both_ways(pci::parse_addressed_quirk(text), pci::parse_addressed_quirk, [](const pci::addressed_quirk& what) {
    return pci::to_string(what.address) + "-" + pci::to_string(what.what);
  });
  if (const auto classes = pci::parse_class(text)) {
    pci::selector one;
    one.classes = *classes;
    require(!one.empty() && one.exactness().class_digits <= 6 && one.matches(card) == classes->matches(card),
            "a selector selects");
  }
}

/// Two looks at the functions that there are.
void check_inventory(fuzz::input& in) {
  std::array<function_entries, 2> looks;
  for (auto& each : looks)
    for (unsigned left = in.below(8); left > 0; --left)
      each.insert_or_assign(pci::sbdf{0, 3, static_cast<std::uint8_t>(in.below(8))},
                            function_entry{in.below(4), in.flag()});
  auto known = looks[0];
  for (const auto& each : events_between(looks[0], looks[1]))
    if (each.what == uevent::action::remove)
      require(known.erase(each.address) == 1, "what is told to be gone was there");
    else if (each.what == uevent::action::add)
      require(known.emplace(each.address, looks[1].at(each.address)).second, "what is told to have come was not there");
    else
      known.at(each.address).has_driver = false;
  require(std::ranges::equal(
              known, looks[1],
              [](const auto& a, const auto& b) { return a.first == b.first && a.second.inode == b.second.inode; }),
          "what is told leads from the first look to the second");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  check_uevent(text);
  check_trace(text);
  check_files(text);
  check_guard(text);
  check_firmware(text);
  check_selectors(text);
  fuzz::input in{{data, size}};
  check_inventory(in);
  return 0;
}
