// One step through the decoder, all threads together: the phases of `Step::work` in order, with a
// barrier after each.
#include "decoder.h"

#include <cmath>

namespace kataribe {
namespace {

struct Tile {  // queries of one sequence and one key head that attend together
    int slice, head, first, count;
};

class Step final : public Job {
   public:
    Step(Decoder& decoder, const StepInput& input, int threads)
        : decoder_(decoder),
          shape_(decoder.shape),
          room_(decoder.room),
          input_(input),
          rows_(input.rows),
          wanted_(input.wanted),
          threads_(threads),
          group_(shape_.heads / shape_.kv_heads),
          phases_(PHASES * static_cast<size_t>(shape_.layers) + 4) {
        make_room();
        plan();
    }

    void work(int thread) override {
        next_[thread] = 0;
        phase(thread, input_.slices, [&](int slice) { clear_new_blocks(slice); });
        each_row(thread, [&](int row) { embed(row); });
        for (int number = 0; number < shape_.layers; number++) layer(thread, number);
        if (!input_.wanted) return;
        phase(thread, input_.wanted, [&](int row) {
            normalize(hidden(input_.wanted_rows[row]), decoder_.norm, wanted_, row);
        });
        const Matrix& head = decoder_.output_head();
        panels(thread, wanted_, head.panels(), [&](int panel) {
            multiply(thread, head, room_.normed, wanted_, panel, [&](int row, const float* sums) {
                const int first = panel * PANEL;
                const int count = std::min(PANEL, shape_.vocabulary - first);
                std::memcpy(input_.logits + static_cast<size_t>(row) * shape_.vocabulary + first,
                            sums, count * sizeof(float));
            });
        });
    }

   private:
    static constexpr size_t PHASES = 10;  // of one layer, at most

    void make_room() {
        const auto rows = static_cast<size_t>(input_.rows);
        const size_t width = static_cast<size_t>(shape_.heads) * shape_.head_dim;
        const size_t kv_width = static_cast<size_t>(shape_.kv_heads) * shape_.head_dim;
        if (room_.rows < input_.rows) {
            room_.hidden.resize(rows * shape_.hidden);
            room_.update.resize(rows * shape_.hidden);
            room_.q.resize(rows * width);
            room_.k.resize(rows * kv_width);
            room_.v.resize(rows * kv_width);
            room_.queries.resize(rows * width / 2);
            room_.mixed.resize(rows * width / 2);
            room_.normed.resize(rows * shape_.hidden / 2);
            room_.gated.resize(rows * shape_.intermediate / 2);
            room_.slice.resize(rows);
            room_.position.resize(rows);
            for (auto& turns : room_.turns) turns.resize(rows * shape_.head_dim);
            room_.rows = input_.rows;  // last: memory may run out before
        }
        const int widest = std::max({shape_.hidden, shape_.intermediate, static_cast<int>(width)});
        decoder_.scratch.resize(std::max<size_t>(decoder_.scratch.size(), threads_));
        for (auto& scratch : decoder_.scratch)
            scratch.resize(static_cast<size_t>(widest) * PANEL * 2 + 64);
        decoder_.gates.resize(std::max<size_t>(decoder_.gates.size(), threads_));
        for (auto& gates : decoder_.gates)
            gates.resize(std::max(gates.size(), rows * PANEL));
        int longest = 0;
        for (int slice = 0; slice < input_.slices; slice++)
            longest = std::max(longest, input_.start[slice] + input_.row[slice + 1] - input_.row[slice]);
        decoder_.attention.resize(std::max<size_t>(decoder_.attention.size(), threads_));
        for (auto& scratch : decoder_.attention) scratch.reserve(longest, shape_.head_dim);
        next_.assign(static_cast<size_t>(threads_), 0);
    }

    void plan() {
        for (int slice = 0; slice < input_.slices; slice++) {
            const int first = input_.row[slice], last = input_.row[slice + 1];
            for (int row = first; row < last; row++) {
                room_.slice[row] = slice;
                room_.position[row] = input_.start[slice] + row - first;
            }
            // The last queries see most; they go first, so that threads end together.
            const int queries = (last - first) * group_;
            for (int end = queries; end > 0; end -= QUERIES)
                for (int head = 0; head < shape_.kv_heads; head++) {
                    const int begin = std::max(0, end - QUERIES);
                    tiles_.push_back({slice, head, begin, end - begin});
                }
        }
    }

    template <class Use>
    void phase(int thread, int count, Use use) {
        phases_[next_[thread]++].share(count, 1, use);
    }

    // Rows of a tile lie between each other in memory, and so do tokens of a block of the cache;
    // two threads that write them at once take the memory from each other all the time.
    template <class Use>
    void each_row(int thread, Use use) {
        phases_[next_[thread]++].share(input_.rows, rows_.height, use);
    }

    // With few rows a panel takes less time than being handed out, and memory is read faster in
    // long runs, so several go together: two such parts for each thread.
    template <class Use>
    void panels(int thread, const Rows& rows, int count, Use use) {
        const int grain = rows.count > FUSED_ROWS ? 1 : (count + 2 * threads_ - 1) / (2 * threads_);
        phases_[next_[thread]++].share(count, grain, use);
    }

    float* hidden(int row) { return room_.hidden.data() + static_cast<size_t>(row) * shape_.hidden; }
    float* update(int row) { return room_.update.data() + static_cast<size_t>(row) * shape_.hidden; }

    const int32_t* table(int slice) const { return input_.block + input_.table[slice]; }

    void clear_new_blocks(int slice) {
        const int start = input_.start[slice];
        const int end = start + input_.row[slice + 1] - input_.row[slice];
        for (int position = (start + BLOCK - 1) / BLOCK * BLOCK; position < end; position += BLOCK)
            decoder_.cache.clear(table(slice)[position / BLOCK]);
    }

    void embed(int row) {
        float* const out = hidden(row);
        read_row(decoder_.embedding, input_.ids[row], out);
        if (shape_.embedding_scale != 1.0f)
            for (int i = 0; i < shape_.hidden; i++) out[i] *= shape_.embedding_scale;
        for (int kind = 0; kind < 2; kind++) {
            const Rope& rope = decoder_.rope[kind];
            float* const turns =
                room_.turns[kind].data() + static_cast<size_t>(row) * shape_.head_dim;
            const auto position = static_cast<float>(room_.position[row]);
            for (size_t i = 0; i < rope.frequencies.size(); i++) {
                const float angle = position * rope.frequencies[i];
                turns[i] = std::cos(angle) * rope.factor;
                turns[shape_.head_dim / 2 + i] = std::sin(angle) * rope.factor;
            }
        }
    }

    void layer(int thread, int number) {
        const Layer& layer = decoder_.layers[number];
        each_row(thread,
                 [&](int row) { normalize(hidden(row), layer.vector[ATTENTION_NORM], rows_, row); });
        project(thread, layer);
        each_row(thread, [&](int row) { place(layer, number, row); });
        phase(thread, static_cast<int>(tiles_.size()),
              [&](int tile) { attend_tile(thread, layer, number, tiles_[tile]); });
        add(thread, layer.matrix[OUTPUT], room_.mixed, layer.vector[ATTENTION_POST_NORM]);
        each_row(thread,
                 [&](int row) { normalize(hidden(row), layer.vector[MLP_NORM], rows_, row); });
        const Matrix &gate = layer.matrix[GATE], &up = layer.matrix[UP];
        panels(thread, rows_, gate.panels(), [&](int panel) { open_gate(thread, gate, up, panel); });
        add(thread, layer.matrix[DOWN], room_.gated, layer.vector[MLP_POST_NORM]);
    }

    void project(int thread, const Layer& layer) {
        const Matrix& q = layer.matrix[QUERY];
        const Matrix& k = layer.matrix[KEY];
        panels(thread, rows_, q.panels() + 2 * k.panels(), [&](int panel) {
            if (panel < q.panels())
                return project_into(thread, q, layer.vector[QUERY_BIAS], room_.q, panel);
            panel -= q.panels();
            if (panel < k.panels())
                return project_into(thread, k, layer.vector[KEY_BIAS], room_.k, panel);
            panel -= k.panels();
            project_into(thread, layer.matrix[VALUE], layer.vector[VALUE_BIAS], room_.v, panel);
        });
    }

    void project_into(int thread, const Matrix& matrix, const std::vector<float>& bias,
                      std::vector<float>& out, int panel) {
        const int first = panel * PANEL;
        multiply(thread, matrix, room_.normed, rows_, panel, [&](int row, const float* sums) {
            float* const to = out.data() + static_cast<size_t>(row) * matrix.outputs + first;
            for (int i = 0; i < PANEL; i++) to[i] = sums[i] + (bias.empty() ? 0.0f : bias[first + i]);
        });
    }

    // Adds a matrix's product to the residual stream, through a norm where there is one.
    void add(int thread, const Matrix& matrix, const std::vector<uint32_t>& from,
             const std::vector<float>& norm) {
        const bool direct = norm.empty();
        panels(thread, rows_, matrix.panels(), [&](int panel) {
            multiply(thread, matrix, from, rows_, panel, [&](int row, const float* sums) {
                float* const to = (direct ? hidden(row) : update(row)) + panel * PANEL;
                for (int i = 0; i < PANEL; i++) to[i] = direct ? to[i] + sums[i] : sums[i];
            });
        });
        if (direct) return;
        each_row(thread, [&](int row) {
            const float* const from_row = update(row);
            float* const to = hidden(row);
            const float share = inverse_root(from_row, shape_.hidden);
            for (int i = 0; i < shape_.hidden; i++) to[i] += from_row[i] * share * norm[i];
        });
    }

    void open_gate(int thread, const Matrix& gate, const Matrix& up, int panel) {
        float* const all = decoder_.gates[thread].data();
        multiply(thread, gate, room_.normed, rows_, panel, [&](int row, const float* sums) {
            std::memcpy(all + static_cast<size_t>(row) * PANEL, sums, PANEL * sizeof(float));
        });
        const bool silu_gate = shape_.activation == static_cast<int>(Activation::SILU);
        multiply(thread, up, room_.normed, rows_, panel, [&](int row, const float* sums) {
            const float* const opened = all + static_cast<size_t>(row) * PANEL;
            const Vec low = load<Vec>(opened), high = load<Vec>(opened + LANES);
            put(silu_gate ? to_pairs(silu(low) * load<Vec>(sums), silu(high) * load<Vec>(sums + LANES))
                          : to_pairs(gelu_tanh(low) * load<Vec>(sums),
                                     gelu_tanh(high) * load<Vec>(sums + LANES)),
                room_.gated, rows_, row, shape_.intermediate, panel * PANEL / 2);
        });
    }

    // Rotates a row's q and k, and writes its keys and values into the cache.
    void place(const Layer& layer, int number, int row) {
        const int width = shape_.head_dim;
        const int slice = room_.slice[row], position = room_.position[row];
        const float* const turns =
            room_.turns[layer.rope].data() + static_cast<size_t>(row) * width;
        for (int head = 0; head < shape_.heads; head++) {
            const size_t first = (static_cast<size_t>(row) * shape_.heads + head) * width;
            float* const q = room_.q.data() + first;
            turn(q, layer.vector[QUERY_NORM], turns);
            for (int i = 0; i < width; i += 2 * LANES)
                store(room_.queries.data() + (first + i) / 2,
                      to_pairs(load<Vec>(q + i), load<Vec>(q + i + LANES)));
        }
        const int block = table(slice)[position / BLOCK];
        for (int head = 0; head < shape_.kv_heads; head++) {
            const size_t first = (static_cast<size_t>(row) * shape_.kv_heads + head) * width;
            float* const k = room_.k.data() + first;
            turn(k, layer.vector[KEY_NORM], turns);
            decoder_.cache.write(number, block, head, position % BLOCK, k, room_.v.data() + first);
        }
    }

    void turn(float* head, const std::vector<float>& norm, const float* turns) {
        const int width = shape_.head_dim, half = width / 2;
        if (!norm.empty()) {
            const float share = inverse_root(head, width);
            for (int i = 0; i < width; i++) head[i] *= share * norm[i];
        }
        for (int i = 0; i < half; i++) {
            const float a = head[i], b = head[half + i];
            head[i] = a * turns[i] - b * turns[half + i];
            head[half + i] = b * turns[i] + a * turns[half + i];
        }
    }

    void attend_tile(int thread, const Layer& layer, int number, const Tile& tile) {
        Query queries[QUERIES];
        int rows[QUERIES], heads[QUERIES];
        for (int t = 0; t < tile.count; t++) {
            rows[t] = input_.row[tile.slice] + (tile.first + t) / group_;
            heads[t] = tile.head * group_ + (tile.first + t) % group_;
            const size_t at = static_cast<size_t>(rows[t]) * shape_.heads + heads[t];
            queries[t] = {room_.queries.data() + at * shape_.head_dim / 2,
                          room_.position[rows[t]]};
        }
        const Scope scope{&decoder_.cache,    number,       tile.head,
                          shape_.head_dim,    table(tile.slice), layer.window,
                          shape_.attention_scale};
        attend(scope, queries, tile.count, decoder_.attention[thread],
               [&](int t, int dimension, Vec low, Vec high) {
                   put(to_pairs(low, high), room_.mixed, rows_, rows[t],
                       shape_.heads * shape_.head_dim,
                       (heads[t] * shape_.head_dim + dimension) / 2);
               });
    }

    // Sums of every row with one panel: calls done(row, 32 sums).
    template <class Done>
    void multiply(int thread, const Matrix& matrix, const std::vector<uint32_t>& from,
                  const Rows& rows, int panel, Done done) {
        product(matrix, from.data(), rows, panel, decoder_.scratch[thread].data(),
                [&](int first, int count, const float* sums) {
                    for (int r = 0; r < count; r++) done(first + r, sums + r * PANEL);
                });
    }

    // 16 pairs of a row, from pair `first` on, into activations that a product reads.
    static void put(Bits pairs, std::vector<uint32_t>& to, const Rows& rows, int row, int inputs,
                    int first) {
        int step;
        uint32_t* at = to.data() + rows.place(row, inputs, step) + static_cast<size_t>(first) * step;
        uint32_t lanes[LANES];
        store(lanes, pairs);
        for (int i = 0; i < LANES; i++, at += step) *at = lanes[i];
    }

    void normalize(const float* from, const std::vector<float>& weight, const Rows& rows, int row) {
        const Vec share = splat(inverse_root(from, shape_.hidden));
        for (int i = 0; i < shape_.hidden; i += 2 * LANES) {
            const Vec low = load<Vec>(from + i) * share * load<Vec>(weight.data() + i);
            const Vec high =
                load<Vec>(from + i + LANES) * share * load<Vec>(weight.data() + i + LANES);
            put(to_pairs(low, high), room_.normed, rows, row, shape_.hidden, i / 2);
        }
    }

    float inverse_root(const float* values, int count) const {
        Vec squares{};
        for (int i = 0; i < count; i += LANES) {
            const Vec value = load<Vec>(values + i);
            squares += value * value;
        }
        return 1.0f / std::sqrt(sum_of(squares) / static_cast<float>(count) + shape_.epsilon);
    }

    Decoder& decoder_;
    const Shape& shape_;
    Decoder::Room& room_;
    const StepInput input_;  // a copy: a late thread reads its counts when the caller has gone
    const Rows rows_, wanted_;
    const int threads_, group_;
    std::deque<Phase> phases_;
    std::vector<size_t> next_;  // each thread's phase
    std::vector<Tile> tiles_;
};

}  // namespace

void run_step(Decoder& decoder, const StepInput& input, int threads) {
    Pool::instance().run(threads, std::make_shared<Step>(decoder, input, threads));
}

}  // namespace kataribe
