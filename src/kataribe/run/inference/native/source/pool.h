// One team of threads for all models of the process.
//
// One team, because two would be more threads than cores as soon as two models answer; they take
// turns step by step instead. A job goes through phases; each is over when all its parts are done,
// whoever did them. So a thread that the system has put aside for somebody else is not waited for
// unless it holds a part, and finds nothing left to do when it comes back. Threads that wait spin
// for some microseconds, which is how long others usually take, and then sleep.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <immintrin.h>

namespace kataribe {

constexpr int SPINS = 4000;  // some tens of microseconds

// Waits until `value` is no longer `old`.
inline void wait_while(std::atomic<int>& value, int old) {
    for (int i = 0; i < SPINS; i++) {
        if (value.load(std::memory_order_acquire) != old) return;
        _mm_pause();
    }
    value.wait(old, std::memory_order_acquire);
}

// Parts from 0 to count - 1, each given to one of the threads that come.
class Phase {
   public:
    // Calls use(part) for parts of one's own, `grain` at a time, and returns when all are done.
    template <class Use>
    void share(int count, int grain, Use use) {
        int mine = 0;
        for (int part; (part = next_.fetch_add(grain, std::memory_order_relaxed)) < count;)
            for (int last = std::min(part + grain, count); part < last; part++, mine++) use(part);
        int done = 0;
        if (mine) {
            done = done_.fetch_add(mine, std::memory_order_acq_rel) + mine;
            if (done == count) done_.notify_all();
        }
        while ((done = done_.load(std::memory_order_acquire)) != count) wait_while(done_, done);
    }

   private:
    alignas(64) std::atomic<int> next_{0};
    alignas(64) std::atomic<int> done_{0};
};

// Work for all threads. It must hold by itself whatever a thread touches that comes too late.
class Job {
   public:
    virtual ~Job() = default;
    virtual void work(int thread) = 0;
};

class Pool {
   public:
    // Never destroyed: its threads may sleep while the process ends.
    static Pool& instance() {
        static Pool* pool = new Pool;
        return *pool;
    }

    // Works at `job` in up to `threads` threads, this one being thread 0, until its end is reached.
    void run(int threads, const std::shared_ptr<Job>& job) {
        std::lock_guard turn(one_at_a_time_);
        while (started_ < threads - 1 && start()) continue;
        if (threads > 1) {
            {
                std::lock_guard held(changing_);
                job_ = job, threads_ = threads;
            }
            number_.fetch_add(1, std::memory_order_release);
            number_.notify_all();
        }
        job->work(0);
        std::lock_guard held(changing_);
        job_.reset();
    }

    // Waits for threads that are late to leave their job: then nothing of it is touched any more.
    void settle() {
        std::lock_guard turn(one_at_a_time_);
        for (int inside; (inside = inside_.load(std::memory_order_acquire));)
            wait_while(inside_, inside);
    }

   private:
    // False where the system gives no thread: then those that are there do all the work.
    bool start() {
        const int thread = started_ + 1;
        const int seen = number_.load(std::memory_order_acquire);
        try {
            std::thread([this, thread, seen] { serve(thread, seen); }).detach();
        } catch (const std::system_error&) {
            return false;
        }
        started_ = thread;
        return true;
    }

    void serve(int thread, int seen) {
        for (;;) {
            wait_while(number_, seen);
            seen = number_.load(std::memory_order_acquire);
            std::shared_ptr<Job> job;
            {
                std::lock_guard held(changing_);
                if (thread < threads_) job = job_;
                if (job) inside_.fetch_add(1, std::memory_order_relaxed);
            }
            if (!job) continue;
            job->work(thread);
            job.reset();
            inside_.fetch_sub(1, std::memory_order_release);
            inside_.notify_all();
        }
    }

    std::mutex one_at_a_time_, changing_;
    std::shared_ptr<Job> job_;
    int threads_ = 1;
    int started_ = 0;
    alignas(64) std::atomic<int> number_{0};
    alignas(64) std::atomic<int> inside_{0};
};

}  // namespace kataribe
