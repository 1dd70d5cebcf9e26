// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/look/observation.hpp"
#include "actors/look/pulse.hpp"
#include "messages/types.hpp"

namespace caf {
class actor_system;
}

namespace actors {

/// All that metrics are made of, at one moment.
struct measurements {
  std::optional<messages::overview> overview; ///< empty: root did not answer in time
  operation_counts operations;
  scrub_meter::outcomes scrubs;
  std::array<std::uint64_t, happening_names.size()> happenings{};
  std::vector<actor_account> actors;
};

/// `all`: root's overview; null: it did not answer.
[[nodiscard]] measurements measure_now(observation& seen, const caf::actor_system& system,
                                       const messages::overview* all);

/// As Prometheus reads it; docs/metrics.md says what each metric means.
[[nodiscard]] std::string metrics_text(const measurements& what);

} // namespace actors
