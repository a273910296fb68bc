import { useId, type ReactNode } from "react";

import { useLanguage, useText } from "../i18n";
import { count } from "../i18n/format";
import { belongsToInputMethod } from "../ui/composing";
import { InfoIcon, PlusIcon, RunIcon, StopIcon } from "../ui/icons";
import { NumberField } from "./NumberField";
import { MOST_COLUMNS, MOST_REPEATS, rowsOf, versionOf, type Setup, type Written } from "./bench";
import { CellView } from "./CellView";
import { ColumnForm } from "./ColumnForm";
import { freshRow, type Row } from "./rows";
import { SummaryView } from "./SummaryView";
import { faultOf, valueOf } from "./template";
import { useBench, useCounts, type BenchRun } from "./useBench";
import { useTechniques } from "./usePrompts";
import { useWide } from "../assistants/useWide";

interface Props {
  setup: Setup;
  written: Written;
  models: readonly string[];
  usual: string;
  onSetup: (part: Partial<Setup>) => void;
}

/** Ways of asking side by side, for every input. */
export function BenchPart({ setup, written, models, usual, onSetup }: Props) {
  const text = useText();
  const words = text.prompts;
  const bench = useBench(setup, written);
  const wide = useWide();
  const techniques = useTechniques().data ?? null;
  const rows = rowsOf(setup, written);
  const can = written.text !== "" && !faultOf(written.text);
  const change = (id: string, part: object) =>
    onSetup({
      columns: setup.columns.map((one) => (one.id === id ? { ...one, ...part } : one)),
    });
  const remove = (id: string) => onSetup({ columns: setup.columns.filter((one) => one.id !== id) });
  const add = () => {
    const last = setup.columns.at(-1);
    const fresh = { model: usual, technique: null, options: {}, tools: [], version: null };
    onSetup({ columns: [...setup.columns, { ...fresh, ...last, id: freshRow().id }] });
  };
  const unkept = setup.columns.some((column) => versionOf(column, written) === null);
  const forms = setup.columns.map((column, at) => (
    <ColumnForm
      key={column.id}
      column={column}
      number={String(at + 1)}
      written={written}
      models={models}
      techniques={techniques}
      onColumn={(part) => change(column.id, part)}
      onRemove={setup.columns.length > 1 ? () => remove(column.id) : null}
    />
  ));
  const shared = { setup, rows, bench, can, forms };
  return (
    <section
      className="bench"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || belongsToInputMethod(event.nativeEvent)) return;
        if (bench.queue.counts().asking === 0) return;
        event.preventDefault();
        bench.queue.stop();
      }}
    >
      <h2>{words.bench}</h2>
      <p className="small soft">{words.benchWhy}</p>
      <Controls setup={setup} rows={rows} bench={bench} can={can} onSetup={onSetup} />
      {unkept && written.text !== "" ? (
        <p className="state-sign small">
          <InfoIcon size={16} />
          {words.notKept}
        </p>
      ) : null}
      {wide ? <Side {...shared} /> : <Below {...shared} />}
      <button
        type="button"
        className="button fit"
        disabled={setup.columns.length >= MOST_COLUMNS}
        onClick={add}
      >
        <PlusIcon size={16} />
        {words.addColumn}
      </button>
    </section>
  );
}

interface ControlProps {
  setup: Setup;
  rows: readonly Row[];
  bench: BenchRun;
  can: boolean;
  onSetup: (part: Partial<Setup>) => void;
}

function Controls({ setup, rows, bench, can, onSetup }: ControlProps) {
  const words = useText().prompts;
  const language = useLanguage();
  const id = useId();
  const { asking, waiting } = useCounts(bench.queue);
  const busy = asking + waiting > 0;
  return (
    <div className="bench-controls">
      <div className="labelled">
        <label htmlFor={id}>{words.repeats}</label>
        <select
          id={id}
          className="field"
          value={setup.repeats}
          onChange={(event) => onSetup({ repeats: Number(event.target.value) })}
        >
          {Array.from({ length: MOST_REPEATS }, (_, at) => (
            <option key={at} value={at + 1}>
              {at + 1}
            </option>
          ))}
        </select>
      </div>
      <NumberField
        label={words.temperature}
        usual={words.usual}
        value={setup.temperature}
        most={2}
        onValue={(temperature) => onSetup({ temperature })}
      />
      <NumberField
        label={words.maxTokens}
        usual={words.usual}
        value={setup.maxTokens}
        whole
        onValue={(maxTokens) => onSetup({ maxTokens })}
      />
      {/* One button that changes: the focus stays where it was pressed. */}
      <button
        type="button"
        className="button primary"
        aria-disabled={!can && !busy}
        onClick={() => {
          if (busy) bench.queue.stop();
          else if (can) bench.runAll(rows);
        }}
      >
        {busy ? <StopIcon size={16} /> : <RunIcon size={16} />}
        {busy ? words.stopAll : words.runAll}
      </button>
      <span className="small soft numbers count" role="status">
        {busy ? words.running(count(language, asking), count(language, waiting)) : ""}
      </span>
    </div>
  );
}

interface GridProps {
  setup: Setup;
  rows: readonly Row[];
  bench: BenchRun;
  can: boolean;
  forms: readonly ReactNode[];
}

/** A table: a column for each way, a row for each input. */
function Side({ setup, rows, bench, can, forms }: GridProps) {
  const words = useText().prompts;
  const { columns } = setup;
  return (
    <div className="bench-box">
      <table className="bench-table" style={{ minWidth: `${9 + 18 * columns.length}rem` }}>
        <thead>
          <tr>
            <th scope="col">{words.inputColumn}</th>
            {columns.map((column, at) => (
              <th key={column.id} scope="col">
                {forms[at]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={row.id}>
              <th scope="row">
                <InputShown row={row} number={at + 1} />
              </th>
              {columns.map((column, place) => (
                <td key={column.id}>
                  <CellView
                    bench={bench}
                    column={column}
                    row={row}
                    names={{ way: String(place + 1), row: String(at + 1) }}
                    can={can}
                  />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{words.summary}</th>
            {columns.map((column) => (
              <td key={column.id}>
                <SummaryView bench={bench} column={column.id} rows={rows} />
              </td>
            ))}
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

/** A card for each way, one below the other. */
function Below({ setup, rows, bench, can, forms }: GridProps) {
  const words = useText().prompts;
  return (
    <ol className="bench-cards">
      {setup.columns.map((column, at) => (
        <li key={column.id}>
          {forms[at]}
          {rows.map((row, place) => (
            <div key={row.id} className="card-row">
              <InputShown row={row} number={place + 1} />
              <CellView
                bench={bench}
                column={column}
                row={row}
                names={{ way: String(at + 1), row: String(place + 1) }}
                can={can}
              />
            </div>
          ))}
          <h3>{words.summary}</h3>
          <SummaryView bench={bench} column={column.id} rows={rows} />
        </li>
      ))}
    </ol>
  );
}

/** Characters of a value that a row shows of its input. */
const SHOWN = 80;

function InputShown({ row, number }: { row: Row; number: number }) {
  const words = useText().prompts;
  const language = useLanguage();
  return (
    <div className="input-shown small">
      <span className="soft numbers">{words.input(count(language, number))}</span>
      {Object.keys(row.values).map((name) => (
        <p key={name} className="sample" lang="" dir="auto" translate="no">
          {(valueOf(row.values, name) ?? "").slice(0, SHOWN)}
        </p>
      ))}
    </div>
  );
}
