# Sidekiq with the 10 threads that it has by itself, and more processes for more cores:
# https://github.com/sidekiq/sidekiq/wiki/Advanced-Options#concurrency. Through hiredis, the fast driver of
# https://github.com/redis/redis-rb/tree/v4.8.0#hiredis: 4,800 to 5,100 no-op tasks a second by one process instead
# of 3,700, on 2 cores (2026-11-27); 5 threads ran 5,500.

require "sidekiq"

# A task that does nothing.
class Noop
  include Sidekiq::Worker

  def perform(data)
    Driver.handlers.noop(data)
  end
end

# A task that tells how long it took to start.
class Stamp
  include Sidekiq::Worker

  def perform(data)
    Driver.handlers.stamp(data)
  end
end

# The contestant.
module Driver
  TASKS = { "noop" => Noop, "stamp" => Stamp }.freeze

  class << self
    attr_reader :handlers

    def publisher(config)
      # A connection for each thread: with 10 for 100 threads it published 2,200 a second instead of 2,900.
      Sidekiq.configure_client { |client| client.redis = redis(config).merge(size: config[:callers]) }
      Publisher.new
    end

    def worker(config, handlers, ready)
      @handlers = handlers
      require "sidekiq/cli"
      Sidekiq.configure_server do |server|
        server.redis = redis(config)
        server.on(:startup, &ready)
      end
      cli = Sidekiq::CLI.instance
      cli.parse(["--environment", "production", "--require", __FILE__])
      # A line for every task would be measured too.
      Sidekiq.logger.level = Logger::WARN
      cli.run
    end

    private

    def redis(config)
      { url: config[:redis], driver: :hiredis }
    end
  end

  # Publishes.
  class Publisher
    def publish(handler, data)
      TASKS[handler].perform_async(data)
    end

    def publish_many(handler, batch)
      TASKS[handler].perform_bulk(batch.map { |data| [data] })
    end
  end
end
