/** Who has to make room in a full table: of the station that has most in it, the entry that is first. */
export function crowdedMost<T>(entries: Iterable<T>, stationOf: (entry: T) => number): T | undefined {
  const stations = new Map<number, { count: number; first: T }>();
  let most: { count: number; first: T } | undefined;
  for (const entry of entries) {
    const station = stationOf(entry);
    let its = stations.get(station);
    if (its === undefined) {
      its = { count: 0, first: entry };
      stations.set(station, its);
    }
    its.count++;
    if (most === undefined || its.count > most.count) most = its;
  }
  return most?.first;
}
