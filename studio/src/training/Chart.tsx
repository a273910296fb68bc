import { useEffect, useId, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { saveFile } from "../ui/saveFile";
import { columnsOf, csvOf, lastOf, type DrawnLine, type Expectation, type Line } from "./curves";
import { useColours, type Colours } from "./useColours";

interface Props {
  title: string;
  /** What is on the upright axis, with its unit. */
  unit: string;
  /** With the interval in which each was expected to end, where there is one. */
  lines: readonly DrawnLine[];
  /** A value in words. */
  say: (value: number) => string;
}

const HEIGHT = 220;
/** Rows of the table at most: the file has them all. */
const ROWS = 100;

/** Curves over tokens; also as a table, a picture and a file. */
export function Chart({ title, unit, lines, say }: Props) {
  const text = useText();
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  useDrawn(box, lines);
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
          {lines.length > 1 || lines.some((line) => line.expected) ? (
            <Legend lines={lines} say={say} />
          ) : null}
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

function Legend({ lines, say }: Pick<Props, "lines" | "say">) {
  const text = useText();
  return (
    <ul className="legend small numbers">
      {lines.map((line) => (
        <li key={line.name}>
          <i className={`swatch s${line.colour + 1}`} aria-hidden="true" />
          <span translate="no">{line.name}</span> <LastOf line={line} say={say} />
          {line.expected ? (
            <span className="soft">
              {" "}
              {text.training.expects(say(line.expected.low), say(line.expected.high))}
            </span>
          ) : null}
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
function useDrawn(box: React.RefObject<HTMLDivElement | null>, lines: readonly DrawnLine[]): void {
  const colours = useColours();
  const language = useLanguage();
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(lines);
  const shape = JSON.stringify(lines.map(({ name, colour }) => [name, colour]));
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const names = JSON.parse(shape) as [string, number][];
    const drawn = new uPlot(
      options(names, colours, at.clientWidth, language, latest),
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
  }, [box, shape, colours, language]);
  useEffect(() => {
    latest.current = lines;
    plot.current?.setData(columnsOf(lines) as uPlot.AlignedData);
  }, [lines, shape, colours, language]);
}

function options(
  names: readonly (readonly [string, number])[],
  colours: Colours,
  width: number,
  language: string,
  latest: { current: readonly DrawnLine[] },
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
  const ends = () => latest.current.flatMap((line) => line.expected ?? []);
  const colour = (at: number) => colours.series[at % colours.series.length] ?? colours.ink;
  return {
    width: Math.max(width, 100),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: {
        time: false,
        // Room for where a run is to end, whose whisker is wider than a point.
        range: (_, low, high) =>
          ends().length === 0
            ? [low, high]
            : [Math.min(0, low), 1.02 * Math.max(high, ...ends().map((end) => end.tokens))],
      },
      y: {
        range: (_, low, high) =>
          padded(
            Math.min(low, ...ends().map((end) => end.low)),
            Math.max(high, ...ends().map((end) => end.high)),
          ),
      },
    },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
    ],
    series: [
      {},
      ...names.map(([name, at]) => ({ label: name, stroke: colour(at), width: 2, spanGaps: true })),
    ],
    hooks: {
      drawClear: [
        (plot) => {
          const [only, ...others] = latest.current;
          if (only?.expected && others.length === 0) drawBand(plot, only.expected, colours.band);
        },
      ],
      draw: [
        (plot) => {
          const said = latest.current.filter((line) => line.expected !== null);
          for (const [at, { expected, colour: its }] of said.entries()) {
            // Runs that are to end at the same place stand beside each other.
            const aside = 10 * devicePixelRatio * (at - said.length + 1);
            if (expected) drawWhisker(plot, expected, colour(its), aside);
          }
        },
      ],
    },
  };
}

function padded(low: number, high: number): [number, number] {
  const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

/** The interval in which the only line was expected to end, all across. */
function drawBand(plot: uPlot, { low, high }: Expectation, colour: string): void {
  const top = plot.valToPos(high, "y", true);
  const bottom = plot.valToPos(low, "y", true);
  plot.ctx.save();
  plot.ctx.fillStyle = colour;
  plot.ctx.fillRect(plot.bbox.left, top, plot.bbox.width, bottom - top);
  plot.ctx.restore();
}

/** The interval in which a line was expected to end, upright where it was to end. */
function drawWhisker(
  plot: uPlot,
  { tokens, low, high }: Expectation,
  colour: string,
  aside: number,
): void {
  const { ctx } = plot;
  const x = plot.valToPos(tokens, "x", true) + aside;
  const top = plot.valToPos(high, "y", true);
  const bottom = plot.valToPos(low, "y", true);
  const wide = 4 * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(x, top);
  ctx.lineTo(x, bottom);
  for (const y of [top, bottom]) {
    ctx.moveTo(x - wide, y);
    ctx.lineTo(x + wide, y);
  }
  ctx.stroke();
  ctx.restore();
}
