import { useEffect, useId, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { saveFile } from "../ui/saveFile";
import { columnsOf, csvOf, lastOf, type Line } from "./curves";
import { useColours, type Colours } from "./useColours";

interface Props {
  title: string;
  /** What is on the upright axis, with its unit. */
  unit: string;
  lines: readonly Line[];
  /** A value in words. */
  say: (value: number) => string;
  /** The interval in which the last value was expected, drawn across. */
  expected?: { low: number; high: number } | null;
}

const HEIGHT = 220;
/** Rows of the table at most: the file has them all. */
const ROWS = 100;

/** Curves over tokens; also as a table, a picture and a file. */
export function Chart({ title, unit, lines, say, expected = null }: Props) {
  const text = useText();
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  useDrawn(box, lines, expected);
  const points = lines.reduce((sum, line) => sum + line.points.length, 0);
  const picture = () => {
    const canvas = box.current?.querySelector("canvas");
    canvas?.toBlob((file) => {
      if (file) saveFile(file, `${title}.png`);
    });
  };
  const csv = () =>
    saveFile(new Blob([csvOf(lines, "tokens")], { type: "text/csv" }), `${title}.csv`);
  return (
    <figure className="chart" aria-labelledby={id}>
      <figcaption id={id}>
        <strong>{title}</strong> <span className="small soft">{unit}</span>
      </figcaption>
      {points === 0 ? <p className="small soft">{text.training.noPoints}</p> : null}
      <div ref={box} className="plot" hidden={points === 0} aria-hidden="true" />
      {points === 0 ? null : (
        <>
          {lines.length > 1 ? <Legend lines={lines} say={say} /> : null}
          <div className="row">
            <button type="button" className="button quiet" onClick={picture}>
              {text.training.picture}
            </button>
            <button type="button" className="button quiet" onClick={csv}>
              {text.training.csv}
            </button>
            <AsTable lines={lines} say={say} title={title} />
          </div>
        </>
      )}
    </figure>
  );
}

function Legend({ lines, say }: { lines: readonly Line[]; say: (value: number) => string }) {
  return (
    <ul className="legend small numbers">
      {lines.map((line, at) => (
        <li key={line.name}>
          <i className={`swatch s${at + 1}`} aria-hidden="true" />
          <span translate="no">{line.name}</span> <LastOf line={line} say={say} />
        </li>
      ))}
    </ul>
  );
}

function LastOf({ line, say }: { line: Line; say: (value: number) => string }) {
  const last = lastOf(line);
  return <span className="soft">{last === null ? "–" : say(last)}</span>;
}

/** The same numbers to be read. */
function AsTable({ lines, say, title }: Pick<Props, "lines" | "say" | "title">) {
  const text = useText();
  const language = useLanguage();
  const [open, setOpen] = useState(false);
  const [places, ...values] = open ? columnsOf(lines) : [[]];
  const step = Math.max(1, Math.ceil(places.length / ROWS));
  const rows = places.map((_, at) => at).filter((at) => (places.length - 1 - at) % step === 0);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="button quiet">{text.training.table}</summary>
      {open ? (
        <div className="table-box" tabIndex={0} role="region" aria-label={title}>
          <table className="numbers small">
            <thead>
              <tr>
                <th scope="col">{text.training.tokenCount}</th>
                {lines.map((line) => (
                  <th scope="col" key={line.name} translate="no">
                    {line.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((at) => (
                <tr key={places[at]}>
                  <th scope="row">{count(language, places[at] ?? 0)}</th>
                  {values.map((column, line) => {
                    const value = column[at] ?? null;
                    return <td key={lines[line]?.name}>{value === null ? "" : say(value)}</td>;
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : null}
    </details>
  );
}

/** Keeps a plot in the box, as wide as it, in the page's colours. */
function useDrawn(
  box: React.RefObject<HTMLDivElement | null>,
  lines: readonly Line[],
  expected: NonNullable<Props["expected"]> | null,
): void {
  const colours = useColours();
  const language = useLanguage();
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map((line) => line.name).join("\n");
  const low = expected?.low ?? null;
  const high = expected?.high ?? null;
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const names = shape.split("\n");
    const drawn = new uPlot(
      options(
        names,
        colours,
        at.clientWidth,
        language,
        low === null || high === null ? null : [low, high],
      ),
      [[], ...names.map(() => [])],
      at,
    );
    plot.current = drawn;
    const watch = new ResizeObserver(() => {
      if (at.clientWidth > 0) drawn.setSize({ width: at.clientWidth, height: HEIGHT });
    });
    watch.observe(at);
    return () => {
      watch.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [box, shape, colours, language, low, high]);
  useEffect(() => {
    plot.current?.setData(columnsOf(lines) as uPlot.AlignedData);
  }, [lines, shape, colours, language, low, high]);
}

function options(
  names: readonly string[],
  colours: Colours,
  width: number,
  language: string,
  band: readonly [number, number] | null,
): uPlot.Options {
  const short = new Intl.NumberFormat(language, {
    notation: "compact",
    maximumSignificantDigits: 3,
  });
  const axis = {
    stroke: colours.ink,
    grid: { stroke: colours.line, width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(width, 100),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false },
      y: band
        ? { range: (_, low, high) => padded(Math.min(low, band[0]), Math.max(high, band[1])) }
        : {},
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
    ],
    series: [
      {},
      ...names.map((name, at) => ({
        label: name,
        stroke: colours.series[at % colours.series.length] ?? colours.ink,
        width: 2,
        spanGaps: true,
      })),
    ],
    hooks: band ? { drawClear: [(plot) => drawBand(plot, band, colours.band)] } : {},
  };
}

function padded(low: number, high: number): [number, number] {
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

/** The interval in which the last value was expected. */
function drawBand(plot: uPlot, [low, high]: readonly [number, number], colour: string): void {
  const top = plot.valToPos(high, "y", true);
  const bottom = plot.valToPos(low, "y", true);
  plot.ctx.save();
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(plot.bbox.left, top, plot.bbox.width, bottom - top);
  plot.ctx.restore();
}
