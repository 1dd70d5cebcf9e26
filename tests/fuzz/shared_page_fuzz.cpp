// SPDX-License-Identifier: GPL-2.0-or-later
// A page of arbitrary bytes: what is taken from it is bounded, and an answer changes nothing but what the protocol
// says.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "pci/protocol/shared_page.hpp"

using namespace pci;

namespace {

using page_bytes = std::array<std::uint8_t, wire::page_size>;

void require(bool condition) {
  if (!condition)
    std::abort();
}

bool may_change(std::size_t at, const request& what, const answer& given) {
  const bool flag = at == 0;
  const bool err = at >= 8 && at < 12;
  const bool value = at >= 32 && at < 36;
  const bool granted = what.code == 4 && given.error == op_error::success && at >= 40 &&
                       at < 40 + 4 * std::min(what.entries.size(), given.vectors.size()) && at % 4 < 2;
  return flag || err || value || granted;
}

void check_request(const shared_page::taken& taken) {
  const bool msix = taken.what.code == 4;
  require(taken.what.entries.size() == (msix ? std::min(taken.what.value, wire::max_vectors) : 0));
  require(taken.what.code == taken.key.cmd && taken.what.value == taken.key.value);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  alignas(8) page_bytes page{};
  std::memcpy(page.data(), data, std::min(size, page.size()));
  shared_page shared{page.data()};
  const auto taken = shared.take();
  check_request(taken);

  // The answer comes from the bytes at the end, the guest's meddling in between from those before.
  answer given{.error = static_cast<op_error>(-(page[4095] % 6)), .value = page[4094], .vectors = {}};
  given.vectors.assign(page[4093], 0x1234);
  if (page[4092] & 1)
    page[page[4091]] ^= page[4090];

  const page_bytes before = page;
  const bool was_active = shared.active();
  const bool same = shared.take().key == taken.key;
  const bool published = shared.publish(taken.key, given);
  require(published == (was_active && same));
  for (std::size_t at = 0; at < page.size(); ++at)
    require(page[at] == before[at] || (published && may_change(at, taken.what, given)));
  require(!published || (!shared.active() && page[0] == (before[0] & 0xfe)));
  require(!shared.publish(taken.key, given) || !published);
  return 0;
}
